//! The concepts of the field as pure values: prices, slots, samples, ranges, pages, summaries.
//!
//! Nothing here reads a clock, opens a connection or uses another module of the crate.

mod attempt;
mod candle;
mod circuit;
mod coverage;
mod interval;
mod median;
mod missed_reason;
mod moment;
mod page;
mod price;
mod price_filter;
mod quote;
mod sample;
mod schedule;
mod slot;
mod statistics;
mod summary;
mod time;

pub(crate) use missed_reason::with_missed_reasons;

pub use attempt::{Attempt, Failure};
pub use candle::{Candle, Candles, Expected};
pub use circuit::{Circuit, CircuitState};
pub use coverage::{Coverage, Gap, MissedSlots};
pub use interval::{Interval, IntervalError, Zone, ZoneError};
pub use median::weighted_median;
pub use missed_reason::{MissedByReason, MissedReason};
pub use moment::{Moment, MomentError, Span, SpanError};
pub use page::{InvalidPage, Order, OrderError, Page, PageNumber, PageSize, PageSizeError};
pub use price::{Price, PriceError, pesos};
pub use price_filter::{PriceFilter, PriceRejection, RecentPrices};
pub use quote::{Observation, Provenance, Quote, Side, is_source_name};
pub use sample::{Sample, SampleError, Timestamp};
pub use schedule::Schedule;
pub use slot::{Slot, Slots, SlotsError};
pub use statistics::{Point, SpreadSums, TimeWeighted};
pub use summary::{Extremes, Summary, Total};
pub use time::{TimeError, TimeRange, TimeRangeError, UnixTime};
