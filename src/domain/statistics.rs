//! What needs more than a summary: the standard deviation, and the mean weighted by time.

use rust_decimal::Decimal;

use super::{Timestamp, summary};

/// A sample as a point: its time, and its price in 1/10000 peso.
pub type Point = (Timestamp, i64);

/// What some samples come to beyond their summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// The sum of the squares of their prices; the largest number there is if that is larger.
    pub squares: u128,
    /// The sum of their prices, each times the microseconds until the next sample.
    pub held: i128,
    /// The longest time between a sample and the next one, in microseconds.
    pub longest: i64,
}

/// How long prices were valid, each until the next sample but at most for `hold`, and what they sum up
/// to in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The most microseconds for which a price is valid.
    pub hold: i64,
    /// The sum of the prices, each times its microseconds.
    pub sum: i128,
    /// The microseconds in which a price was valid.
    pub covered: i64,
    /// The first sample and the last one.
    pub ends: Option<(Point, Point)>,
}

impl Profile {
    /// The profile of one sample.
    pub fn of_one(price: i64) -> Self {
        let price = u128::from(price.unsigned_abs());
        Self { squares: price * price, ..Self::default() }
    }

    /// The profile of samples that come oldest first.
    pub fn of(points: impl IntoIterator<Item = Point>) -> Self {
        let (mut profile, mut last) = (Self::default(), None);
        for point in points {
            profile = profile.and(last, Some(point), Self::of_one(point.1));
            last = Some(point);
        }
        profile
    }

    /// The profile of these samples and of later ones, if `last` is the last of these and `next` the
    /// first of those.
    #[must_use]
    pub fn and(self, last: Option<Point>, next: Option<Point>, later: Self) -> Self {
        let pause = last.zip(next).map(|(last, next)| (pause(last, next), last.1));
        let (pause, price) = pause.unwrap_or_default();
        Self {
            squares: self.squares.saturating_add(later.squares),
            held: self.held + later.held + i128::from(price) * i128::from(pause),
            longest: self.longest.max(later.longest).max(pause),
        }
    }

    /// The standard deviation in pesos of `count` samples that sum up to `sum` 1/10000 pesos; `None` of
    /// none. The squares of the differences from the mean are summed up exactly.
    pub fn standard_deviation(&self, count: u64, sum: i128) -> Option<f64> {
        let squares = i128::try_from(self.squares).ok()?;
        let samples = i128::from(count);
        let mean = sum.checked_div_euclid(samples)?;
        // The squares of the differences from a whole number near the mean; `rest` corrects that.
        let differences = squares.checked_sub(mean.checked_mul(2 * sum - samples * mean)?)?;
        let rest = sum - samples * mean;
        #[allow(clippy::cast_precision_loss, reason = "rounded once, at the end")]
        let variance = |differences: i128, rest: i128, samples: i128| {
            let (samples, rest) = (samples as f64, rest as f64);
            differences as f64 / samples - (rest / samples).powi(2)
        };
        // To whole 1/10000 pesos.
        Some(variance(differences, rest, samples).max(0.0).sqrt().round() / 10_000.0)
    }
}

impl Held {
    /// Of no samples.
    pub fn none(hold: i64) -> Self {
        Self { hold, sum: 0, covered: 0, ends: None }
    }

    /// Of samples that are never further from each other than `hold`.
    pub fn of_profile(hold: i64, profile: &Profile, first: Point, last: Point) -> Self {
        let covered = last.0.micros() - first.0.micros();
        Self { hold, sum: profile.held, covered, ends: Some((first, last)) }
    }

    /// Of samples that come oldest first.
    pub fn of(hold: i64, points: impl IntoIterator<Item = Point>) -> Self {
        let one = |point| Self { ends: Some((point, point)), ..Self::none(hold) };
        points.into_iter().map(one).fold(Self::none(hold), Self::and)
    }

    /// These samples and later ones.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
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

    /// The same in the microseconds `[since, until)`, if these samples lie in it and `before` is the last
    /// sample before it, whose price may still be valid at its beginning.
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

    /// The mean price in pesos, weighted by time, rounded to 2 decimals, half to even; 0 if no price was
    /// valid.
    pub fn mean(&self) -> Decimal {
        summary::mean(self.sum, self.covered.into())
    }
}

/// The microseconds between two samples.
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
        let held = Held::of(60 * SECOND, points);
        // 10 s of 1 peso, 60 s of 2 pesos; then 40 s of 3 pesos.
        assert_eq!(held.covered, 70 * SECOND);
        let whole = held.between(90 * SECOND, 240 * SECOND, Some(point((50, 50_000))));
        // 10 s of 5 pesos before the first sample.
        assert_eq!(whole.covered, 120 * SECOND);
        assert_eq!(whole.mean().to_string(), "2.50"); // (50 + 10 + 120 + 120) / 120
        let none = Held::none(60 * SECOND).between(90 * SECOND, 100 * SECOND, Some(point((95, 7))));
        assert_eq!((none.covered, none.mean().to_string().as_str()), (10 * SECOND, "0.00"));
    }

    #[test]
    fn the_standard_deviation_is_that_of_the_textbook() {
        let prices = [2, 4, 4, 4, 5, 5, 7, 9];
        let points = prices.map(|price| point((price, price * 10_000)));
        let sum = i128::from(prices.iter().sum::<i64>()) * 10_000;
        assert_eq!(Profile::of(points).standard_deviation(8, sum), Some(2.0));
        assert_eq!(Profile::default().standard_deviation(0, 0), None);
    }

    proptest! {
        #[test]
        fn parts_come_to_the_same_as_the_whole(
            samples in prop::collection::vec((0i64..2000, 1i64..9_000_000_000_000_000), 1..60),
            at in 0usize..60, hold in 1i64..200,
        ) {
            let mut samples = samples;
            samples.sort_unstable();
            let points: Vec<Point> = samples.iter().copied().map(point).collect();
            let (one, other) = points.split_at(at.min(points.len()));
            let [early, late] = [one, other].map(|part| Profile::of(part.iter().copied()));
            let whole = Profile::of(points.iter().copied());
            prop_assert_eq!(early.and(one.last().copied(), other.first().copied(), late), whole);
            let hold = hold * SECOND;
            let [early, late] = [one, other].map(|part| Held::of(hold, part.iter().copied()));
            let held = Held::of(hold, points.iter().copied());
            prop_assert_eq!(early.and(late), held);
            if whole.longest <= hold {
                let ends = (points[0], points[points.len() - 1]);
                prop_assert_eq!(Held::of_profile(hold, &whole, ends.0, ends.1), held);
            }
        }

        #[test]
        fn the_standard_deviation_is_that_of_plain_arithmetic(
            prices in prop::collection::vec(800_000_000_000i64..900_000_000_000, 1..100),
        ) {
            let points = prices.iter().map(|price| point((0, *price)));
            let count = prices.len();
            let sum: i128 = prices.iter().map(|price| i128::from(*price)).sum();
            let exact = Profile::of(points).standard_deviation(count as u64, sum).unwrap();
            #[allow(clippy::cast_precision_loss, reason = "a test of the first digits")]
            let (mean, count) = (sum as f64 / count as f64, count as f64);
            #[allow(clippy::cast_precision_loss, reason = "a test of the first digits")]
            let squares: f64 = prices.iter().map(|price| (*price as f64 - mean).powi(2)).sum();
            let expected = (squares / count).sqrt() / 10_000.0;
            prop_assert!((exact - expected).abs() <= expected * 1e-6 + 1e-3, "{exact} {expected}");
        }
    }
}
