//! What processes count and measure: the catalogue of these metrics, and the sums of one process.
//!
//! Each process adds to its own sums. Those of shared metrics are also sent to Redis every two seconds
//! (`store/sums.rs`), where they are added to the sums of all processes: an api exposes these.
//! Depends on the connection, whose repairs it counts, and on the HTTP server.

mod exposition;
mod system_process;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

pub use exposition::{answer, exposed};
pub use system_process::of_process;

/// The upper bounds of the buckets of all histograms, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Separates the parts of the name of a sum: the metric, the values of its labels, the part of a histogram.
const SEPARATOR: char = '|';
/// The part of a histogram that is the sum of what was measured, in microseconds.
const MICROS: &str = "micros";

/// Sums by name: `<metric>|<label value>|...` for a counter; for a histogram, each with `|<number of the
/// bucket>` or `|micros` at its end.
pub type Sums = BTreeMap<String, u64>;

/// A metric that is counted or measured where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Jobs that schedulers have put into a queue.
    JobsEnqueued,
    /// Jobs that workers have begun; one that is begun again counts again.
    JobsStarted,
    /// Jobs that have ended well.
    JobsSucceeded,
    /// Jobs that were given up, by reason.
    JobsDead,
    /// The time from the beginning of a slot to the enqueueing of its job.
    TickLag,
    /// The time from the enqueueing of a job to its beginning.
    JobWait,
    /// The time that a job took.
    JobDuration,
    /// The time that a source took to answer or to fail.
    ExchangeLatency,
    /// The time from the beginning of a slot to the storing of its price.
    TickToStored,
    /// The time that the api took for a request.
    HttpRequests,
}

/// How a metric is exposed.
struct Description {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    is_histogram: bool,
    /// Whether the sums of all processes are added up in Redis.
    is_shared: bool,
}

impl Metric {
    /// All of them.
    const ALL: [Self; 10] = [
        Self::JobsEnqueued,
        Self::JobsStarted,
        Self::JobsSucceeded,
        Self::JobsDead,
        Self::TickLag,
        Self::JobWait,
        Self::JobDuration,
        Self::ExchangeLatency,
        Self::TickToStored,
        Self::HttpRequests,
    ];

    fn description(self) -> Description {
        let counter = |name, help, labels| Description {
            name,
            help,
            labels,
            is_histogram: false,
            is_shared: true,
        };
        let histogram =
            |name, help, labels| Description { is_histogram: true, ..counter(name, help, labels) };
        match self {
            Self::JobsEnqueued => {
                counter("jobs_enqueued", "Jobs that schedulers have put into a queue", &["queue"])
            }
            Self::JobsStarted => counter("jobs_started", "Jobs that were begun", &["queue"]),
            Self::JobsSucceeded => {
                counter("jobs_succeeded", "Jobs that have ended well", &["queue"])
            }
            Self::JobsDead => {
                counter("jobs_dead", "Jobs that were given up, by reason", &["queue", "reason"])
            }
            Self::TickLag => histogram(
                "tick_lag_seconds",
                "Time from the beginning of a slot to the enqueueing of its job",
                &[],
            ),
            Self::JobWait => histogram(
                "job_wait_seconds",
                "Time from the enqueueing of a job to its beginning",
                &["queue"],
            ),
            Self::JobDuration => {
                histogram("job_duration_seconds", "Time that a job took", &["queue"])
            }
            Self::ExchangeLatency => histogram(
                "exchange_latency_seconds",
                "Time that a source took to answer or to fail",
                &["source"],
            ),
            Self::TickToStored => histogram(
                "tick_to_stored_seconds",
                "Time from the beginning of a slot to the storing of its price",
                &[],
            ),
            Self::HttpRequests => Description {
                is_shared: false,
                ..histogram(
                    "http_request_duration_seconds",
                    "Time that this api took for a request, by route, method and status",
                    &["route", "method", "status"],
                )
            },
        }
    }
}

/// The sums of this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since the start of the process.
    total: Sums,
    /// What has not been sent to Redis, of shared metrics.
    unsent: Sums,
    /// What is being sent, with its number.
    sending: Option<Batch>,
    /// The number of the last batch.
    batches: u64,
}

/// Sums for Redis. It may arrive twice; its number lets it be added once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Counts up from 1 in each process.
    pub number: u64,
    /// What is to be added.
    pub sums: Sums,
}

impl Metrics {
    /// Counts one more. `labels` are the values of the metric's labels, in their order.
    pub fn count(&self, metric: Metric, labels: &[&str]) {
        let description = metric.description();
        self.0.lock().add(name(&description, labels, None), 1, description.is_shared);
    }

    /// Adds a time that was measured to a histogram.
    pub fn measure(&self, metric: Metric, labels: &[&str], took: Duration) {
        let description = metric.description();
        let bucket = BUCKETS.partition_point(|bound| *bound < took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.0.lock();
        for (part, by) in [(bucket.to_string().as_str(), 1), (MICROS, micros)] {
            state.add(name(&description, labels, Some(part)), by, description.is_shared);
        }
    }

    /// The sums since the start of this process.
    pub fn total(&self) -> Sums {
        self.0.lock().total.clone()
    }

    /// What is to be sent to Redis. Returns the same batch until [`Metrics::sent`] is called.
    pub fn batch(&self) -> Option<Batch> {
        let mut state = self.0.lock();
        if state.sending.is_none() && !state.unsent.is_empty() {
            state.batches += 1;
            let (number, sums) = (state.batches, std::mem::take(&mut state.unsent));
            state.sending = Some(Batch { number, sums });
        }
        state.sending.clone()
    }

    /// The batch has arrived.
    pub fn sent(&self) {
        self.0.lock().sending = None;
    }
}

impl State {
    fn add(&mut self, name: String, by: u64, is_shared: bool) {
        if is_shared {
            match self.unsent.get_mut(&name) {
                Some(sum) => *sum += by,
                None => drop(self.unsent.insert(name.clone(), by)),
            }
        }
        *self.total.entry(name).or_default() += by;
    }
}

/// The name of a sum.
fn name(description: &Description, labels: &[&str], part: Option<&str>) -> String {
    let mut name = description.name.to_owned();
    for text in labels.iter().copied().chain(part) {
        name.push(SEPARATOR);
        name.extend(text.chars().filter(|character| *character != SEPARATOR));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_stays_the_same_until_it_has_arrived() {
        let metrics = Metrics::default();
        assert_eq!(metrics.batch(), None);
        metrics.count(Metric::JobsStarted, &["probe"]);
        let first = metrics.batch().unwrap();
        metrics.count(Metric::JobsStarted, &["probe"]);
        assert_eq!(metrics.batch(), Some(first.clone()));
        assert_eq!((first.number, first.sums["jobs_started|probe"]), (1, 1));
        metrics.sent();
        let second = metrics.batch().unwrap();
        assert_eq!((second.number, second.sums["jobs_started|probe"]), (2, 1));
        assert_eq!(metrics.total()["jobs_started|probe"], 2);
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let metrics = Metrics::default();
        metrics.measure(Metric::JobWait, &["probe"], Duration::from_micros(2500));
        metrics.measure(Metric::JobWait, &["probe"], Duration::from_mins(1));
        let total = metrics.total();
        assert_eq!(total["job_wait_seconds|probe|1"], 1);
        assert_eq!(total["job_wait_seconds|probe|14"], 1);
        assert_eq!(total["job_wait_seconds|probe|micros"], 60_002_500);
    }

    #[test]
    fn what_happens_in_one_process_only_is_not_sent() {
        let metrics = Metrics::default();
        metrics.measure(Metric::HttpRequests, &["/", "GET", "200"], Duration::ZERO);
        assert_eq!(metrics.batch(), None);
    }
}
