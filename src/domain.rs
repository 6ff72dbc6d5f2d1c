//! The words of the field as pure values: prices, slots, samples, ranges, pages, summaries.
//!
//! Nothing here reads a clock, opens a connection or knows another module of the crate.

mod attempt;
mod doubt;
mod ledger;
mod median;
mod page;
mod price;
mod quote;
mod sample;
mod schedule;
mod slot;
mod summary;
mod time;

pub use attempt::{Attempt, Circuit, CircuitState, Failure};
pub use doubt::{Disbelief, Doubt};
pub use ledger::{Coverage, Gap, Missed, Reason};
pub use median::weighted_median;
pub use page::{InvalidPage, Page, PageNumber, PageSize, PageSizeError};
pub use price::{Price, PriceError, pesos};
pub use quote::{Observation, Provenance, Quote, Side, is_source_name};
pub use sample::{Sample, SampleError, Timestamp};
pub use schedule::Schedule;
pub use slot::{Slot, Slots, SlotsError};
pub use summary::{Extremes, Summary, Total};
pub use time::{TimeError, TimeRange, TimeRangeError, UnixTime};
