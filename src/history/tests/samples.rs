//! Builds samples and ranges. Times are seconds after [`BASE`], prices are pesos.

use crate::domain::{
    Observation, Point, Price, Provenance, Sample, TimeRange, Timestamp, UnixTime,
};

/// The start of an hour.
pub(super) const BASE: i64 = 1_699_999_200;

/// Samples at regular times, with prices that jump up and down.
#[derive(Debug, Clone)]
pub(super) struct Regular {
    from: i64,
    every: i64,
    count: i64,
    without: Vec<std::ops::Range<i64>>,
}

/// Returns an hour of samples, one every 10 s.
pub(super) fn samples() -> Regular {
    Regular { from: 0, every: 10, count: 360, without: Vec::new() }
}

impl Regular {
    pub(super) fn from(self, second: i64) -> Self {
        Self { from: second, ..self }
    }

    pub(super) fn every(self, seconds: i64) -> Self {
        Self { every: seconds, ..self }
    }

    pub(super) fn count(self, count: i64) -> Self {
        Self { count, ..self }
    }

    /// Removes the samples in some seconds.
    pub(super) fn without(mut self, seconds: std::ops::Range<i64>) -> Self {
        self.without.push(seconds);
        self
    }
}

impl From<Regular> for Vec<Observation> {
    fn from(regular: Regular) -> Self {
        let seconds = (0..regular.count).map(|index| regular.from + index * regular.every);
        let is_kept = |second: &i64| !regular.without.iter().any(|gap| gap.contains(second));
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let sample = |second: i64| sample(second as f64, price_at(second));
        seconds.filter(is_kept).map(sample).collect()
    }
}

/// Returns the price in pesos of the regular sample at a second.
pub(super) fn price_at(second: i64) -> u64 {
    (1000 + (second * 7919).rem_euclid(1009)).unsigned_abs()
}

/// Returns a sample without provenance.
pub(super) fn sample(second: f64, pesos: u64) -> Observation {
    let timestamp = Timestamp::from_score(score(second)).unwrap();
    Sample { timestamp, price: Price::from_pesos(pesos) }.into()
}

/// Returns a sample with provenance.
pub(super) fn sample_of(source: &str, second: f64, pesos: u64) -> Observation {
    let ask = Some(Price::from_pesos(pesos + 1));
    let provenance = Some(Provenance { source: source.to_owned(), ask, bid: None });
    Observation { provenance, ..sample(second, pesos) }
}

/// Returns samples at some times with some prices.
pub(super) fn at<const N: usize>(samples: [(f64, u64); N]) -> Vec<Observation> {
    samples.into_iter().map(|(second, pesos)| sample(second, pesos)).collect()
}

/// Returns the point of a sample.
pub(super) fn point(second: f64, pesos: u64) -> Point {
    point_of(&sample(second, pesos))
}

pub(super) fn point_of(observation: &Observation) -> Point {
    (observation.sample.timestamp, observation.sample.price.ten_thousandths())
}

/// Returns the score of a time.
#[allow(clippy::cast_precision_loss, reason = "exact for unix seconds")]
pub(super) fn score(second: f64) -> f64 {
    BASE as f64 + second
}

pub(super) fn time(second: f64) -> UnixTime {
    score(second).to_string().parse().unwrap()
}

/// Returns the range between two times, both inclusive.
pub(super) fn between(since: f64, until: f64) -> TimeRange {
    TimeRange::new(Some(time(since)), Some(time(until))).unwrap()
}

pub(super) fn since(second: f64) -> TimeRange {
    TimeRange::new(Some(time(second)), None).unwrap()
}

pub(super) fn until(second: f64) -> TimeRange {
    TimeRange::new(None, Some(time(second))).unwrap()
}
