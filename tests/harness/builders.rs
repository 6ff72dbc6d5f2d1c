//! Builders of values that many tests need: ranges, pages, slots, samples, and the JSON of reasons.

use std::time::Duration;

use cotiza::{
    domain::{
        Observation, PageNumber, PageSize, Provenance, Sample, Slots, TimeRange, Timestamp, pesos,
    },
    history::Retention,
};
use serde_json::{Value, json};

/// The names of all reasons of missed slots, in the order of the columns of a CSV.
pub const REASONS: [&str; 10] = [
    "exchange_timeout",
    "exchange_error",
    "bad_answer",
    "too_late",
    "worker_lost",
    "redis_away",
    "price_rejected",
    "no_worker",
    "paused",
    "not_scheduled",
];

/// Returns the object with the number of missed slots of each reason; those that are not given are 0.
pub fn reasons(counts: &[(&str, u64)]) -> Value {
    let mut all: Value = REASONS.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    for (name, count) in counts {
        assert!(REASONS.contains(name), "{name} is not a reason");
        all[*name] = json!(count);
    }
    all
}

/// Returns the range between two times, both inclusive: unix seconds or RFC 3339.
pub fn between<T: ToString>(since: T, until: T) -> TimeRange {
    let ends = [since, until].map(|end| Some(end.to_string().parse().expect("a time")));
    let [since, until] = ends;
    TimeRange::new(since, until).expect("since is not after until")
}

/// Returns the range that contains all samples.
pub fn all_time() -> TimeRange {
    TimeRange::default()
}

/// Returns a page by its number, from 1, and the number of items per page.
pub fn page(number: u64, size: u64) -> (PageNumber, PageSize) {
    (PageNumber::Number(number), size.to_string().parse().expect("a page size"))
}

/// Returns slots of the given number of seconds.
pub fn slots_of(seconds: u64) -> Slots {
    Slots::new(Duration::from_secs(seconds)).expect("a length of slots")
}

/// Returns the retention that drops the text form after the given number of hours and deletes no sample.
pub fn text_kept_for(hours: u64) -> Retention {
    Retention { text: Some(Duration::from_hours(hours)), samples: None }
}

/// Returns a sample without provenance.
pub fn observation(second: i64, price: &str) -> Observation {
    let timestamp = Timestamp::from_second(second);
    Sample { timestamp, price: price.parse().expect("a price") }.into()
}

/// Returns a sample of the source buenbit whose ask is its price.
pub fn quoted(second: i64, price: &str, bid: Option<&str>) -> Observation {
    let mut observation = observation(second, price);
    let ask = Some(observation.sample.price);
    let bid = bid.map(|bid| bid.parse().expect("a bid"));
    observation.provenance = Some(Provenance { source: "buenbit".to_owned(), ask, bid });
    observation
}

/// Samples at regular times, from a unix second on.
pub struct Samples {
    first: i64,
    step: i64,
    count: i64,
}

/// Returns a builder of samples: every 10 s, unless [`Samples::every`] sets another distance.
pub fn samples(first: i64) -> Samples {
    Samples { first, step: 10, count: 1 }
}

impl Samples {
    /// Sets the number of seconds between two samples.
    pub fn every(self, step: i64) -> Self {
        Self { step, ..self }
    }

    pub fn count(self, count: i64) -> Self {
        Self { count, ..self }
    }

    /// Returns the samples, all with the same price.
    pub fn price(&self, price: &str) -> Vec<(i64, String)> {
        self.prices(|_| price.to_owned())
    }

    /// Returns the samples with the price for each index, from 0.
    pub fn prices(&self, price: impl Fn(i64) -> String) -> Vec<(i64, String)> {
        (0..self.count).map(|n| (self.first + n * self.step, price(n))).collect()
    }
}

/// Returns samples, given as scores and prices in 1/10000 peso, as unique members of the key `prices`.
pub fn unique_members<S: ToString>(samples: &[(S, i64)]) -> Vec<(String, String)> {
    let member = |(n, (score, price)): (usize, &(S, i64))| {
        let (score, price) = (score.to_string(), pesos(*price));
        (score.clone(), format!("{price}:{score}:{n}"))
    };
    samples.iter().enumerate().map(member).collect()
}

/// Returns the observations of samples.
pub fn observations(samples: &[(i64, String)]) -> Vec<Observation> {
    samples.iter().map(|(second, price)| observation(*second, price)).collect()
}

/// Returns samples as scores and members of the key `prices`.
pub fn members(samples: &[(i64, String)]) -> Vec<(String, String)> {
    let member =
        |(second, price): &(i64, String)| (second.to_string(), format!("{price}:{second}"));
    samples.iter().map(member).collect()
}
