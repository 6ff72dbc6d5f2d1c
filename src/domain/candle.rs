//! Candles: what the samples of each interval of a range come to.

use super::{Interval, Missed, Order, Schedule, Summary, Zone};

/// Which candles are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candles {
    /// The length of each.
    pub interval: Interval,
    /// The time zone in which days, weeks and months begin.
    pub zone: Zone,
    /// Whether an interval without samples gets the last price before it, or no candle.
    pub filled: bool,
    /// In which order they come.
    pub order: Order,
    /// How many are wanted.
    pub limit: usize,
}

/// What the samples of one interval come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// Its first unix second.
    pub start: i64,
    /// The first unix second after it.
    pub end: i64,
    /// Its samples; of none if it was filled.
    pub summary: Summary,
    /// The price that it was filled with, in 1/10000 peso.
    pub filled: Option<i64>,
    /// The slots that begin in it, from the first one ever recorded up to now.
    pub expected: u64,
    /// Those that ended without a sample.
    pub missed: u64,
    /// The missed slots by reason, if they were asked for.
    pub reasons: Option<Missed>,
}

impl Candle {
    /// The prices at which it opens and closes, and its highest and lowest one.
    pub fn prices(&self) -> Option<[i64; 4]> {
        let of_samples = self.summary.extremes;
        let prices = of_samples.map(|all| [all.first.1, all.max, all.min, all.last.1]);
        prices.or(self.filled.map(|price| [price; 4]))
    }
}

/// The slots of an interval that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The first second of the first slot ever recorded.
    pub since: i64,
    /// The first second of the current slot.
    pub open: i64,
}

impl Expected {
    /// How many slots begin in the seconds `[from, until)`, and how many of them have ended.
    pub fn count(&self, from: i64, until: i64, schedule: &Schedule) -> (u64, u64) {
        let from = from.max(self.since);
        let ended = schedule.count(from, until.min(self.open).max(from));
        let is_open = (from..until).contains(&self.open);
        (ended + u64::from(is_open), ended)
    }
}
