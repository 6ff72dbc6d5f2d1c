//! The catalogue of metrics that processes count or measure, and the sums of one process.
//!
//! Each process adds to its own sums. Those of shared metrics are also sent to Redis every two seconds
//! (`store/sums.rs`) and added there to the sums of all processes, which the api exposes. Depends on
//! `connection`, whose reconnects are a metric, and on `http_server`.

mod exposition;
mod system_process;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

pub use exposition::{collector, response};
pub use system_process::process_registry;

/// The upper bounds of the buckets of all histograms, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The separator in the name of a sum, between the metric, its label values and the part of a histogram.
const SEPARATOR: char = '|';
/// The part of a histogram that is the sum of the measured times, in microseconds.
const MICROS: &str = "micros";

/// Sums by name: `<metric>|<label value>|...` for a counter; for a histogram, with the suffix
/// `|<bucket number>` or `|micros`.
pub type Sums = BTreeMap<String, u64>;

/// A metric that is counted or measured in the process where the event happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Jobs that schedulers enqueued.
    JobsEnqueued,
    /// Jobs that workers started; a repeated start counts again.
    JobsStarted,
    /// Jobs that succeeded.
    JobsSucceeded,
    /// Jobs that failed permanently, by reason.
    JobsDead,
    /// The time from the start of a slot until its job is enqueued.
    TickLag,
    /// The time from the enqueueing of a job until it starts.
    JobWait,
    /// The run time of a job.
    JobDuration,
    /// The time from a request to a source until its response or failure.
    ExchangeLatency,
    /// The time from the start of a slot until its price is stored.
    TickToStored,
    /// The time from a request to the api until its response.
    HttpRequests,
}

/// The exposition of a metric.
struct Description {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    is_histogram: bool,
    /// Whether the sums of all processes are added up in Redis.
    is_shared: bool,
}

impl Metric {
    /// All metrics.
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
                counter("jobs_enqueued", "Jobs that schedulers enqueued", &["queue"])
            }
            Self::JobsStarted => {
                let help = "Jobs that workers started; a repeated start counts again";
                counter("jobs_started", help, &["queue"])
            }
            Self::JobsSucceeded => counter("jobs_succeeded", "Jobs that succeeded", &["queue"]),
            Self::JobsDead => counter(
                "jobs_dead",
                "Jobs that failed permanently, by reason",
                &["queue", "reason"],
            ),
            Self::TickLag => histogram(
                "tick_lag_seconds",
                "Time from the start of a slot until its job is enqueued",
                &[],
            ),
            Self::JobWait => histogram(
                "job_wait_seconds",
                "Time from the enqueueing of a job until it starts",
                &["queue"],
            ),
            Self::JobDuration => histogram("job_duration_seconds", "Run time of a job", &["queue"]),
            Self::ExchangeLatency => histogram(
                "exchange_latency_seconds",
                "Time from a request to a source until its response or failure",
                &["source"],
            ),
            Self::TickToStored => histogram(
                "tick_to_stored_seconds",
                "Time from the start of a slot until its price is stored",
                &[],
            ),
            Self::HttpRequests => Description {
                is_shared: false,
                ..histogram(
                    "http_request_duration_seconds",
                    "Time from a request to this api to its response, by route, method, status",
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
    /// The sums since the start of the process.
    total: Sums,
    /// The part of the shared metrics that has not been sent to Redis.
    unsent: Sums,
    /// The batch that is being sent.
    sending: Option<Batch>,
    /// The number of the last batch.
    batches: u64,
}

/// Sums to send to Redis. A batch may arrive twice; its number ensures that it is added only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The number of the batch in its process, from 1.
    pub number: u64,
    /// The sums to add.
    pub sums: Sums,
}

impl Metrics {
    /// Increments a counter. `labels` are the values of the metric's labels, in order.
    pub fn count(&self, metric: Metric, labels: &[&str]) {
        let description = metric.description();
        self.0.lock().add(name(&description, labels, None), 1, description.is_shared);
    }

    /// Adds a measured time to a histogram. `labels` are the values of the metric's labels, in order.
    pub fn measure(&self, metric: Metric, labels: &[&str], took: Duration) {
        let description = metric.description();
        let bucket = BUCKETS.partition_point(|bound| *bound < took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.0.lock();
        for (part, by) in [(bucket.to_string().as_str(), 1), (MICROS, micros)] {
            state.add(name(&description, labels, Some(part)), by, description.is_shared);
        }
    }

    /// Returns the sums since the start of this process.
    pub fn total(&self) -> Sums {
        self.0.lock().total.clone()
    }

    /// Returns the sums to send to Redis: the same batch until [`Metrics::sent`] is called.
    pub fn batch(&self) -> Option<Batch> {
        let mut state = self.0.lock();
        if state.sending.is_none() && !state.unsent.is_empty() {
            state.batches += 1;
            let (number, sums) = (state.batches, std::mem::take(&mut state.unsent));
            state.sending = Some(Batch { number, sums });
        }
        state.sending.clone()
    }

    /// Notes that the batch has arrived.
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

/// Builds the name of a sum.
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
    fn a_time_is_counted_in_the_first_bucket_that_contains_it() {
        let metrics = Metrics::default();
        metrics.measure(Metric::JobWait, &["probe"], Duration::from_micros(2500));
        metrics.measure(Metric::JobWait, &["probe"], Duration::from_mins(1));
        let total = metrics.total();
        assert_eq!(total["job_wait_seconds|probe|1"], 1);
        assert_eq!(total["job_wait_seconds|probe|14"], 1);
        assert_eq!(total["job_wait_seconds|probe|micros"], 60_002_500);
    }

    #[test]
    fn a_metric_that_is_not_shared_is_not_sent() {
        let metrics = Metrics::default();
        metrics.measure(Metric::HttpRequests, &["/", "GET", "200"], Duration::ZERO);
        assert_eq!(metrics.batch(), None);
    }
}
