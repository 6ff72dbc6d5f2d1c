//! Summaries of samples: count, sum, extremes, first and last, in exact arithmetic.

use rust_decimal::Decimal;

use super::{Schedule, Timestamp};

/// The summary of the samples of a period of time. Prices are whole 1/10000 pesos, so no rounding errors
/// accumulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The number of samples.
    pub count: u64,
    /// The number of distinct slots of the samples.
    pub slots: u64,
    /// The number of gaps (consecutive slots without a sample) between the first and the last sample.
    pub gaps: u64,
    /// The sum of the prices, in 1/10000 peso.
    pub sum: i128,
    /// The extremes; `None` if there is no sample.
    pub extremes: Option<Extremes>,
}

/// The count and the sum of the prices of some samples, from which the mean is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// The number of samples.
    pub count: u64,
    /// The sum of the prices, in 1/10000 peso.
    pub sum: i128,
}

/// The extremes of some samples, in price (1/10000 peso) and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extremes {
    /// The lowest price.
    pub min: i64,
    /// The highest price.
    pub max: i64,
    /// The time and the price of the earliest sample.
    pub first: (Timestamp, i64),
    /// The time and the price of the latest sample.
    pub last: (Timestamp, i64),
}

impl Summary {
    /// Returns the summary of one sample, given by its time and its price in 1/10000 peso.
    pub fn of_one(timestamp: Timestamp, price: i64) -> Self {
        let (first, last) = ((timestamp, price), (timestamp, price));
        let extremes = Some(Extremes { min: price, max: price, first, last });
        Self { count: 1, slots: 1, gaps: 0, sum: price.into(), extremes }
    }

    /// Returns the summary of samples that are given oldest first, each as a time and a price in 1/10000
    /// peso.
    pub fn of(samples: impl IntoIterator<Item = (Timestamp, i64)>, schedule: &Schedule) -> Self {
        let add = |summary: Self, (timestamp, price)| {
            summary.merge(Self::of_one(timestamp, price), schedule)
        };
        samples.into_iter().fold(Self::default(), add)
    }

    /// Returns the summary of these samples and of `later` ones.
    #[must_use]
    pub fn merge(self, later: Self, schedule: &Schedule) -> Self {
        let (Some(own), Some(other)) = (self.extremes, later.extremes) else {
            return if self.count == 0 { later } else { self };
        };
        let (last, next) =
            (schedule.slot(own.last.0.second()), schedule.slot(other.first.0.second()));
        Self {
            count: self.count + later.count,
            // A slot that has samples in both summaries counts once.
            slots: self.slots + later.slots - u64::from(last == next),
            gaps: self.gaps + later.gaps + u64::from(last.end() < next.start()),
            sum: self.sum + later.sum,
            extremes: Some(Extremes {
                min: own.min.min(other.min),
                max: own.max.max(other.max),
                first: own.first,
                last: other.last,
            }),
        }
    }

    /// Returns the count and the sum.
    pub fn total(&self) -> Total {
        Total { count: self.count, sum: self.sum }
    }
}

impl Total {
    /// Returns the total of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum }
    }

    /// Returns the mean price in pesos, rounded half to even to 2 decimals; 0 if there is no sample.
    pub fn average(&self) -> Decimal {
        mean(self.sum, self.count.into())
    }
}

/// Returns a sum in 1/10000 peso divided by a weight, in pesos, rounded half to even to 2 decimals; 0 if the
/// weight is 0.
pub(super) fn mean(sum: i128, weight: i128) -> Decimal {
    // One centavo is 100 units of the sum.
    let unit = weight.max(1) * 100;
    let whole = sum.div_euclid(unit);
    let rest = sum - whole * unit;
    let up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => whole % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    Decimal::from_i128_with_scale(whole + i128::from(up), 2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;

    use super::*;
    use crate::domain::{Price, Slots, pesos};

    fn schedule() -> Schedule {
        Schedule::new(Slots::new(Duration::from_secs(10)).unwrap())
    }

    fn samples(of: &[(i64, &str)]) -> Vec<(Timestamp, i64)> {
        let units = |price: &str| price.parse::<Price>().unwrap().ten_thousandths();
        of.iter().map(|(at, price)| (Timestamp::from_second(*at), units(price))).collect()
    }

    #[test]
    fn the_mean_is_rounded_half_to_even() {
        let check = |prices: &[&str], expected: &str| {
            let rows: Vec<_> = prices.iter().map(|price| (0, *price)).collect();
            let average = Summary::of(samples(&rows), &schedule()).total().average();
            assert_eq!(average.to_string(), expected, "{prices:?}");
        };
        check(&[], "0.00");
        check(&["84873600.0"], "84873600.00");
        check(&["1.00", "1.01"], "1.00"); // 1.005
        check(&["1.01", "1.02"], "1.02"); // 1.015
        check(&["1.0050"], "1.00");
        check(&["1.0051"], "1.01");
        check(&["1", "1", "2"], "1.33");
        check(&["0.1", "0.2"], "0.15"); // as doubles this is more
    }

    #[test]
    fn slots_and_gaps_are_counted_once_for_any_grouping_of_samples() {
        let rows = samples(&[(0, "3"), (9, "1"), (10, "5"), (35, "2"), (39, "2"), (60, "4")]);
        for at in 0..=rows.len() {
            let (one, other) = rows.split_at(at);
            let parts = [one, other].map(|part| Summary::of(part.iter().copied(), &schedule()));
            let whole = parts[0].merge(parts[1], &schedule());
            assert_eq!((whole.count, whole.slots, whole.gaps), (6, 4, 2), "split at {at}");
            let (first, last) = (rows[0], rows[5]);
            let expected = Extremes { min: 10_000, max: 50_000, first, last };
            assert_eq!(whole.extremes, Some(expected));
        }
    }

    #[test]
    fn a_gap_is_a_slot_without_a_sample_between_two_samples() {
        let gaps = |times: &[i64]| {
            let rows: Vec<_> = times.iter().map(|time| (*time, "1")).collect();
            Summary::of(samples(&rows), &schedule()).gaps
        };
        assert_eq!(gaps(&[0, 9]), 0, "the same slot");
        assert_eq!(gaps(&[9, 10]), 0, "the next slot");
        assert_eq!(gaps(&[0, 20]), 1);
    }

    proptest! {
        #[test]
        fn the_mean_equals_decimal_arithmetic_for_any_grouping_of_samples(
            units in prop::collection::vec(1i64..9_000_000_000_000_000, 1..200), at in 0usize..200,
        ) {
            let sum: Decimal = units.iter().map(|&unit| pesos(unit)).sum();
            let mean = (sum / Decimal::from(units.len()))
                .round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
            let (one, other) = units.split_at(at.min(units.len()));
            let parts = [one, other].map(|part| {
                let rows = part.iter().map(|&unit| (Timestamp::from_second(0), unit));
                Summary::of(rows, &schedule())
            });
            let whole = parts[0].merge(parts[1], &schedule());
            prop_assert_eq!(whole.total().average(), mean);
            prop_assert_eq!(parts[0].total().merge(parts[1].total()), whole.total());
            prop_assert_eq!(whole.count, units.len() as u64);
        }
    }
}
