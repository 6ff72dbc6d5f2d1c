//! The jobs, one file each, and the list of them. A new job is a file here and a line in the list.
//!
//! May use the domain, the configuration, the exchange, the store, the history and the queue.

mod fetch_btc_ars;
mod housekeeping;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

pub use fetch_btc_ars::{FetchBtcArs, FetchError};
pub use housekeeping::Housekeeping;

use crate::{
    config::Config,
    domain::{MissedReason, PriceFilter, Slot, Slots},
    exchange::Sources,
    history::{History, Retention},
    metrics::Metrics,
    queue::{Janitor, Job},
    store::{Activity, Store, StoreError},
};

/// What jobs work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The division of time into slots.
    pub slots: Slots,
    /// The sources of prices.
    pub sources: Sources,
    /// The filter for implausible prices.
    pub price_filter: PriceFilter,
    /// Where samples are recorded.
    pub store: Store,
    /// The summaries of all recorded prices, which housekeeping needs.
    pub history: Arc<History>,
    /// How long samples are kept.
    pub retention: Retention,
    /// Removes finished jobs.
    pub janitor: Janitor,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// The latest activity of this process.
    pub progress: Progress,
}

/// When this process last started to fetch a price, and when it last recorded one. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Activity>>);

impl Progress {
    /// The latest activity.
    pub fn activity(&self) -> Activity {
        *self.0.lock()
    }

    fn begun(&self, now: i64) {
        self.0.lock().started = Some(now);
    }

    fn recorded(&self, now: i64) {
        self.0.lock().recorded = Some(now);
    }
}

/// A job that is enqueued at regular intervals.
pub trait ScheduledJob: Job<Context = Context> {
    /// The interval.
    fn every(config: &Config) -> Duration;

    /// The job that is due when a slot of this length begins.
    fn due(slot: Slot) -> Self;

    /// Called with jobs that were not started in time, and the reason.
    ///
    /// # Errors
    /// Returns an error if the reason cannot be recorded yet.
    fn not_started(
        _jobs: &[Self],
        _store: &Store,
        _reason: MissedReason,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Something that is done for each kind of job, such as scheduling it.
pub trait ForEachJob {
    /// Does it for one kind of job.
    fn run<J: ScheduledJob>(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

macro_rules! job_list {
    ($($job:ident),+ $(,)?) => {
        /// The names of all queues.
        pub const QUEUES: &[&str] = &[$(<$job as Job>::NAME),+];

        /// Runs something for all kinds of jobs concurrently.
        ///
        /// # Errors
        /// Returns the first error.
        pub async fn run_for_each_job(action: &impl ForEachJob) -> anyhow::Result<()> {
            tokio::try_join!($(action.run::<$job>()),+).map(drop)
        }
    };
}

job_list! {
    FetchBtcArs,
    Housekeeping,
}
