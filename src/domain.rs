//! The words of the field as pure values: prices, slots, samples, ranges, pages, summaries.
//!
//! Nothing here reads a clock, opens a connection or knows another module of the crate.

mod ledger;
mod page;
mod price;
mod sample;
mod slot;
mod summary;
mod time;

pub use ledger::{Coverage, Gap, Missed, Reason};
pub use page::{InvalidPage, Page, PageNumber, PageSize, PageSizeError};
pub use price::{Price, PriceError};
pub use sample::{Sample, SampleError};
pub use slot::{Slot, Slots, SlotsError};
pub use summary::{Extremes, Summary, pesos};
pub use time::{TimeError, TimeRange, TimeRangeError, UnixTime};
