//! Candles: the samples of each interval of a range, summarized.

use super::{Interval, MissedSlots, Order, Schedule, Summary, Zone};

/// A request for candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candles {
    /// The length of each candle.
    pub interval: Interval,
    /// The time zone in which days, weeks and months begin.
    pub zone: Zone,
    /// Whether an interval without samples gets a candle of the last price before it, or no candle.
    pub filled: bool,
    /// The order of the candles.
    pub order: Order,
    /// The maximum number of candles.
    pub limit: usize,
}

/// The summary of the samples of one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// The first unix second of the interval.
    pub start: i64,
    /// The first unix second after the interval.
    pub end: i64,
    /// The summary of the samples; empty if the candle was filled.
    pub summary: Summary,
    /// The price with which the candle was filled, in 1/10000 peso.
    pub filled: Option<i64>,
    /// The number of slots that begin in the interval, from the first one ever recorded up to now.
    pub expected: u64,
    /// The number of slots that ended without a sample.
    pub missed: u64,
    /// The missed slots by reason, if they were requested.
    pub reasons: Option<MissedSlots>,
}

impl Candle {
    /// Returns the open, high, low and close price in 1/10000 peso; `None` without samples and filling price.
    pub fn prices(&self) -> Option<[i64; 4]> {
        let of_samples = self.summary.extremes;
        let prices = of_samples.map(|all| [all.first.1, all.max, all.min, all.last.1]);
        prices.or(self.filled.map(|price| [price; 4]))
    }
}

/// The bounds of the slots that are expected to have a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The first second of the first slot ever recorded.
    pub since: i64,
    /// The first second of the current slot.
    pub open: i64,
}

impl Expected {
    /// Returns how many expected slots begin in the seconds `[from, until)`, and how many of them have ended.
    pub fn count(&self, from: i64, until: i64, schedule: &Schedule) -> (u64, u64) {
        let from = from.max(self.since);
        let ended = schedule.count(from, until.min(self.open).max(from));
        let is_open = (from..until).contains(&self.open);
        (ended + u64::from(is_open), ended)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Slots, Timestamp};

    fn schedule() -> Schedule {
        Schedule::new(Slots::new(Duration::from_secs(10)).unwrap())
    }

    /// Returns a candle of samples with these prices, ten seconds apart.
    fn candle(prices: &[i64], filled: Option<i64>) -> Candle {
        let at = (0..).step_by(10).map(Timestamp::from_second);
        let summary = Summary::of(at.zip(prices.iter().copied()), &schedule());
        Candle { start: 0, end: 60, summary, filled, expected: 6, missed: 0, reasons: None }
    }

    #[test]
    fn the_prices_of_a_candle_are_open_high_low_and_close() {
        assert_eq!(candle(&[5, 9, 2, 7], None).prices(), Some([5, 9, 2, 7]));
    }

    #[test]
    fn a_filled_candle_has_its_price_four_times() {
        assert_eq!(candle(&[], Some(8)).prices(), Some([8, 8, 8, 8]));
        assert_eq!(candle(&[], None).prices(), None);
    }

    #[test]
    fn slots_are_expected_from_the_first_one_up_to_the_open_one() {
        let count =
            |from, until| Expected { since: 100, open: 150 }.count(from, until, &schedule());
        assert_eq!(count(110, 140), (3, 3));
        assert_eq!(count(0, 120), (2, 2), "none before the first one");
        assert_eq!(count(130, 200), (3, 2), "the open one has not ended");
        assert_eq!(count(160, 200), (0, 0), "none after the open one");
    }
}
