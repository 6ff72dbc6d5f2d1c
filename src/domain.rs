//! The words of the field as pure values: prices, slots, samples, ranges, pages, summaries.
//!
//! Nothing here reads a clock, opens a connection or knows another module of the crate.

mod attempt;
mod candle;
mod doubt;
mod interval;
mod ledger;
mod median;
mod moment;
mod page;
mod price;
mod quote;
mod sample;
mod schedule;
mod slot;
mod statistics;
mod summary;
mod time;

pub use attempt::{Attempt, Circuit, CircuitState, Failure};
pub use candle::{Candle, Candles, Expected};
pub use doubt::{Disbelief, Doubt};
pub use interval::{Interval, IntervalError, Zone, ZoneError};
pub use ledger::{ByReason, Coverage, Gap, Missed, Reason};
pub use median::weighted_median;
pub use moment::{Moment, MomentError, Span, SpanError};
pub use page::{InvalidPage, Order, OrderError, Page, PageNumber, PageSize, PageSizeError};
pub use price::{Price, PriceError, pesos};
pub use quote::{Observation, Provenance, Quote, Side, is_source_name};
pub use sample::{Sample, SampleError, Timestamp};
pub use schedule::Schedule;
pub use slot::{Slot, Slots, SlotsError};
pub use statistics::{Held, Point, Profile};
pub use summary::{Extremes, Summary, Total};
pub use time::{TimeError, TimeRange, TimeRangeError, UnixTime};
