//! Statistics that need more than a summary: the standard deviation, and the mean weighted by time.

use rust_decimal::Decimal;

use super::{Timestamp, summary};

/// A sample as a point: its time, and its price in 1/10000 peso.
pub type Point = (Timestamp, i64);

/// Sums over some samples that their summary does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpreadSums {
    /// The sum of the squares of the prices (1/10000 peso); saturates at the maximum of `u128`.
    pub squares: u128,
    /// The sum of the prices, each multiplied by the microseconds until the next sample.
    pub weighted_sum: i128,
    /// The longest time between two consecutive samples, in microseconds.
    pub longest_pause: i64,
}

/// Prices weighted by time: each price is valid until the next sample, but at most for `hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWeighted {
    /// The maximum time for which a price is valid, in microseconds.
    pub hold: i64,
    /// The sum of the prices, each multiplied by the microseconds for which it was valid.
    pub sum: i128,
    /// The time in which a price was valid, in microseconds.
    pub covered: i64,
    /// The first and the last sample; `None` if there are no samples.
    pub ends: Option<(Point, Point)>,
}

impl SpreadSums {
    /// Returns the sums of one sample.
    pub fn of_one(price: i64) -> Self {
        let price = u128::from(price.unsigned_abs());
        Self { squares: price * price, ..Self::default() }
    }

    /// Returns the sums of samples that are given oldest first.
    pub fn of(points: impl IntoIterator<Item = Point>) -> Self {
        let (mut sums, mut last) = (Self::default(), None);
        for point in points {
            sums = sums.merge(last, Some(point), Self::of_one(point.1));
            last = Some(point);
        }
        sums
    }

    /// Returns the sums of these samples and of later ones. `last` is the last of these samples, `next` the
    /// first of the later ones.
    #[must_use]
    pub fn merge(self, last: Option<Point>, next: Option<Point>, later: Self) -> Self {
        let pause = last.zip(next).map(|(last, next)| (pause(last, next), last.1));
        let (pause, price) = pause.unwrap_or_default();
        Self {
            squares: self.squares.saturating_add(later.squares),
            weighted_sum: self.weighted_sum
                + later.weighted_sum
                + i128::from(price) * i128::from(pause),
            longest_pause: self.longest_pause.max(later.longest_pause).max(pause),
        }
    }

    /// Returns the standard deviation in pesos of `count` samples whose prices sum up to `sum` 1/10000 pesos;
    /// `None` if there are no samples. The sum of the squared differences from the mean is exact.
    pub fn standard_deviation(&self, count: u64, sum: i128) -> Option<f64> {
        let squares = i128::try_from(self.squares).ok()?;
        let samples = i128::from(count);
        let mean = sum.checked_div_euclid(samples)?;
        // The sum of the squared differences from the mean rounded down; `rest` corrects the rounding.
        let differences = squares.checked_sub(mean.checked_mul(2 * sum - samples * mean)?)?;
        let rest = sum - samples * mean;
        #[allow(clippy::cast_precision_loss, reason = "rounded once, at the end")]
        let variance = |differences: i128, rest: i128, samples: i128| {
            let (samples, rest) = (samples as f64, rest as f64);
            differences as f64 / samples - (rest / samples).powi(2)
        };
        // Rounded to whole 1/10000 pesos.
        Some(variance(differences, rest, samples).max(0.0).sqrt().round() / 10_000.0)
    }
}

impl TimeWeighted {
    /// Returns the value of no samples.
    pub fn none(hold: i64) -> Self {
        Self { hold, sum: 0, covered: 0, ends: None }
    }

    /// Returns the value of samples that are at most `hold` apart, from their sums.
    pub fn of_profile(hold: i64, sums: &SpreadSums, first: Point, last: Point) -> Self {
        let covered = last.0.micros() - first.0.micros();
        Self { hold, sum: sums.weighted_sum, covered, ends: Some((first, last)) }
    }

    /// Returns the value of samples that are given oldest first.
    pub fn of(hold: i64, points: impl IntoIterator<Item = Point>) -> Self {
        let one = |point| Self { ends: Some((point, point)), ..Self::none(hold) };
        points.into_iter().map(one).fold(Self::none(hold), Self::merge)
    }

    /// Returns the value of these samples and of later ones.
    #[must_use]
    pub fn merge(self, later: Self) -> Self {
        let (Some((first, last)), Some((next, end))) = (self.ends, later.ends) else {
            return if self.ends.is_none() { later } else { self };
        };
        let valid = pause(last, next).min(self.hold);
        Self {
            sum: self.sum + later.sum + i128::from(last.1) * i128::from(valid),
            covered: self.covered + later.covered + valid,
            ends: Some((first, end)),
            ..self
        }
    }

    /// Returns the value for the microseconds `[since, until)`, which must contain these samples. `before` is
    /// the last sample before `since`: its price may still be valid then.
    #[must_use]
    pub fn between(self, since: i64, until: i64, before: Option<Point>) -> Self {
        let first = self.ends.map_or(until, |(first, _)| first.0.micros());
        let of = |price: i64, from: i64, to: i64| {
            let valid = (to - from).max(0);
            (i128::from(price) * i128::from(valid), valid)
        };
        let head = before
            .map(|(at, price)| of(price, since, first.min(at.micros().saturating_add(self.hold))));
        let tail = self.ends.map(|(_, (at, price))| {
            let at = at.micros();
            of(price, at, until.min(at.saturating_add(self.hold)))
        });
        let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
        Self { sum: self.sum + head.0 + tail.0, covered: self.covered + head.1 + tail.1, ..self }
    }

    /// Returns the mean price in pesos, weighted by time, rounded half to even to 2 decimals; 0 if no price
    /// was valid.
    pub fn mean(&self) -> Decimal {
        summary::mean(self.sum, self.covered.into())
    }
}

/// Returns the microseconds between two samples.
fn pause(last: Point, next: Point) -> i64 {
    next.0.micros() - last.0.micros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn point((second, price): (i64, i64)) -> Point {
        (Timestamp::from_second(second), price)
    }

    #[test]
    fn a_price_is_valid_until_the_next_one_but_not_for_longer_than_hold() {
        let points = [(100, 10_000), (110, 20_000), (200, 30_000)].map(point);
        let weighted = TimeWeighted::of(60 * SECOND, points);
        // 10 s of 1 peso, 60 s of 2 pesos; then 40 s of 3 pesos.
        assert_eq!(weighted.covered, 70 * SECOND);
        let whole = weighted.between(90 * SECOND, 240 * SECOND, Some(point((50, 50_000))));
        // 10 s of 5 pesos before the first sample.
        assert_eq!(whole.covered, 120 * SECOND);
        assert_eq!(whole.mean().to_string(), "2.50"); // (50 + 10 + 120 + 120) / 120
        let none = TimeWeighted::none(60 * SECOND).between(
            90 * SECOND,
            100 * SECOND,
            Some(point((95, 7))),
        );
        assert_eq!((none.covered, none.mean().to_string().as_str()), (10 * SECOND, "0.00"));
    }

    #[test]
    fn the_standard_deviation_matches_the_textbook_example() {
        let prices = [2, 4, 4, 4, 5, 5, 7, 9];
        let points = prices.map(|price| point((price, price * 10_000)));
        let sum = i128::from(prices.iter().sum::<i64>()) * 10_000;
        assert_eq!(SpreadSums::of(points).standard_deviation(8, sum), Some(2.0));
        assert_eq!(SpreadSums::default().standard_deviation(0, 0), None);
    }

    #[test]
    fn the_standard_deviation_is_exact_if_the_mean_is_not_a_whole_number() {
        let deviation = |prices: &[i64]| {
            let points = prices.iter().map(|price| point((0, *price)));
            let sum = prices.iter().copied().map(i128::from).sum();
            SpreadSums::of(points).standard_deviation(prices.len() as u64, sum)
        };
        assert_eq!(deviation(&[1, 2, 2, 2]), Some(0.0)); // 0.43 of 1/10000 peso
        assert_eq!(deviation(&[1, 4]), Some(0.0002)); // 1.5
    }

    proptest! {
        #[test]
        fn merged_parts_equal_the_whole(
            samples in prop::collection::vec((0i64..2000, 1i64..9_000_000_000_000_000), 1..60),
            at in 0usize..60, hold in 1i64..200,
        ) {
            let mut samples = samples;
            samples.sort_unstable();
            let points: Vec<Point> = samples.iter().copied().map(point).collect();
            let (one, other) = points.split_at(at.min(points.len()));
            let [early, late] = [one, other].map(|part| SpreadSums::of(part.iter().copied()));
            let whole = SpreadSums::of(points.iter().copied());
            prop_assert_eq!(early.merge(one.last().copied(), other.first().copied(), late), whole);
            let hold = hold * SECOND;
            let [early, late] =
                [one, other].map(|part| TimeWeighted::of(hold, part.iter().copied()));
            let weighted = TimeWeighted::of(hold, points.iter().copied());
            prop_assert_eq!(early.merge(late), weighted);
            if whole.longest_pause <= hold {
                let ends = (points[0], points[points.len() - 1]);
                prop_assert_eq!(TimeWeighted::of_profile(hold, &whole, ends.0, ends.1), weighted);
            }
        }

        #[test]
        fn the_standard_deviation_matches_floating_point_arithmetic(
            prices in prop::collection::vec(800_000_000_000i64..900_000_000_000, 1..100),
        ) {
            let points = prices.iter().map(|price| point((0, *price)));
            let count = prices.len();
            let sum: i128 = prices.iter().map(|price| i128::from(*price)).sum();
            let exact = SpreadSums::of(points).standard_deviation(count as u64, sum).unwrap();
            #[allow(clippy::cast_precision_loss, reason = "a test of the first digits")]
            let (mean, count) = (sum as f64 / count as f64, count as f64);
            #[allow(clippy::cast_precision_loss, reason = "a test of the first digits")]
            let squares: f64 = prices.iter().map(|price| (*price as f64 - mean).powi(2)).sum();
            let expected = (squares / count).sqrt() / 10_000.0;
            prop_assert!((exact - expected).abs() <= expected * 1e-6 + 1e-3, "{exact} {expected}");
        }
    }
}
