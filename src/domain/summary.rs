//! What many samples come to: count, sum, extremes, first and last, in exact arithmetic.

use rust_decimal::Decimal;

use super::{Price, Sample, Slots};

/// The samples of a stretch of time, summed up. Prices are in whole 1/10000 pesos, so no
/// rounding piles up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many samples there are.
    pub count: u64,
    /// In how many different slots they lie.
    pub slots: u64,
    /// The sum of their prices.
    pub sum: i128,
    /// The extremes; `None` of no samples.
    pub extremes: Option<Extremes>,
}

/// What the prices of some samples add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// How many samples there are.
    pub count: u64,
    /// The sum of their prices, in 1/10000 peso.
    pub sum: i128,
}

/// The extremes of some samples, in price and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extremes {
    /// The lowest price.
    pub min: i64,
    /// The highest price.
    pub max: i64,
    /// The earliest sample: its unix second and its price.
    pub first: (i64, i64),
    /// The latest sample: its unix second and its price.
    pub last: (i64, i64),
}

impl Extremes {
    fn of(sample: &Sample) -> Self {
        let price = sample.price.ten_thousandths();
        let (first, last) = ((sample.timestamp, price), (sample.timestamp, price));
        Self { min: price, max: price, first, last }
    }

    /// The extremes of both; `later` holds what was observed after `self`, or at the same time.
    fn and(self, later: Self) -> Self {
        Self {
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            first: self.first,
            last: later.last,
        }
    }
}

impl Summary {
    /// Sums up samples that come oldest first.
    pub fn of(samples: impl IntoIterator<Item = Sample>, slots: Slots) -> Self {
        let (mut summary, mut last) = (Self::default(), None);
        for sample in samples {
            let slot = slots.containing(sample.timestamp);
            let is_new = last.replace(slot) != Some(slot);
            summary = summary.and(Self {
                count: 1,
                slots: u64::from(is_new),
                sum: i128::from(sample.price.ten_thousandths()),
                extremes: Some(Extremes::of(&sample)),
            });
        }
        summary
    }

    /// Takes in what was observed after all of this, or at the same time.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            count: self.count + later.count,
            slots: self.slots + later.slots,
            sum: self.sum + later.sum,
            extremes: match (self.extremes, later.extremes) {
                (Some(one), Some(other)) => Some(one.and(other)),
                (one, other) => one.or(other),
            },
        }
    }

    /// What its prices add up to.
    pub fn total(&self) -> Total {
        Total { count: self.count, sum: self.sum }
    }
}

impl Total {
    /// Adds samples up, in any order.
    pub fn of(samples: impl IntoIterator<Item = Sample>) -> Self {
        samples.into_iter().fold(Self::default(), |Self { count, sum }, sample| Self {
            count: count + 1,
            sum: sum + i128::from(sample.price.ten_thousandths()),
        })
    }

    /// The total with that of others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum }
    }

    /// The total without that of some of its samples.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        // Wrapping: an index that is wrong may have less than its parts, which its reader notices.
        Self { count: self.count.wrapping_sub(part.count), sum: self.sum - part.sum }
    }

    /// The mean price in pesos, rounded to 2 decimals, half to even; 0 of no samples.
    pub fn average(&self) -> Decimal {
        // One centavo is 100 of the sum's units.
        let unit = i128::from(self.count.max(1)) * 100;
        let (whole, rest) = (self.sum.div_euclid(unit), self.sum.rem_euclid(unit));
        let up = match (rest * 2).cmp(&unit) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => whole % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        Decimal::from_i128_with_scale(whole + i128::from(up), 2)
    }
}

impl FromIterator<Summary> for Summary {
    /// Sums up summaries that come oldest first.
    fn from_iter<I: IntoIterator<Item = Self>>(summaries: I) -> Self {
        summaries.into_iter().fold(Self::default(), Self::and)
    }
}

impl From<Total> for Summary {
    /// Only count and sum.
    fn from(Total { count, sum }: Total) -> Self {
        Self { count, sum, ..Self::default() }
    }
}

/// A price as it is summed up.
pub fn pesos(ten_thousandths: i64) -> Decimal {
    Decimal::new(ten_thousandths, Price::SCALE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;

    use super::*;

    fn sample(timestamp: i64, price: &str) -> Sample {
        Sample { timestamp, price: price.parse().unwrap() }
    }

    fn slots() -> Slots {
        Slots::new(Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn the_mean_is_rounded_half_to_even() {
        let check = |prices: &[&str], expected: &str| {
            let samples = prices.iter().map(|price| sample(0, price));
            let average = Summary::of(samples, slots()).total().average();
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
    fn slots_are_counted_once_however_many_samples_lie_in_them() {
        let samples = [(0, "3"), (9, "1"), (10, "5"), (35, "2")];
        let summary = Summary::of(samples.map(|(at, price)| sample(at, price)), slots());
        assert_eq!((summary.count, summary.slots), (4, 3));
        let expected =
            Extremes { min: 10_000, max: 50_000, first: (0, 30_000), last: (35, 20_000) };
        assert_eq!(summary.extremes, Some(expected));
    }

    proptest! {
        #[test]
        fn the_mean_equals_decimal_arithmetic_however_it_is_put_together(
            units in prop::collection::vec(1i64..9_000_000_000_000_000, 1..200), at in 0usize..200,
        ) {
            let samples: Vec<Sample> =
                units.iter().map(|&unit| sample(0, &pesos(unit).to_string())).collect();
            let sum: Decimal = units.iter().map(|&unit| pesos(unit)).sum();
            let mean = (sum / Decimal::from(units.len()))
                .round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
            let (one, other) = samples.split_at(at.min(samples.len()));
            let parts = [one, other].map(|part| Summary::of(part.iter().copied(), slots()));
            let summary: Summary = parts.into_iter().collect();
            prop_assert_eq!(summary.total().average(), mean);
            prop_assert_eq!(summary.count, units.len() as u64);
        }
    }
}
