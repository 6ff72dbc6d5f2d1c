//! The jobs, one file each, and the list of them. A new job is a file here and a line in the
//! list.
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
    domain::{Doubt, Reason, Slot, Slots},
    exchange::Sources,
    history::{History, Retention},
    metrics::Metrics,
    queue::{Caretaker, Job},
    store::{Activity, Store, StoreError},
};

/// What jobs work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// How time is cut.
    pub slots: Slots,
    /// Who is asked for prices.
    pub sources: Sources,
    /// Which prices are believed.
    pub doubt: Doubt,
    /// Where samples are kept.
    pub store: Store,
    /// All recorded prices, as summaries: what housekeeping works by.
    pub history: Arc<History>,
    /// How long samples are kept.
    pub retention: Retention,
    /// Who keeps the queues within their bounds.
    pub caretaker: Caretaker,
    /// What this process counts and measures.
    pub metrics: Metrics,
    /// What this process has done.
    pub progress: Progress,
}

/// When this process has begun to fetch a price, and when it has recorded one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Activity>>);

impl Progress {
    /// What was done so far.
    pub fn activity(&self) -> Activity {
        *self.0.lock()
    }

    fn begun(&self, now: i64) {
        self.0.lock().begun = Some(now);
    }

    fn recorded(&self, now: i64) {
        self.0.lock().recorded = Some(now);
    }
}

/// A job that is enqueued again and again, at the same distance of time.
pub trait ScheduledJob: Job<Context = Context> {
    /// The time from one to the next.
    fn every(config: &Config) -> Duration;

    /// The job that is due when the slot, of that length, begins.
    fn due(slot: Slot) -> Self;

    /// Called with jobs that were not begun in time, and the reason.
    ///
    /// # Errors
    /// If that cannot be noted yet.
    fn not_begun(
        _jobs: &[Self],
        _store: &Store,
        _reason: Reason,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Something that is done for each kind of job, such as scheduling it.
pub trait Runner {
    /// Does it for one kind, until it is to stop.
    fn run<J: ScheduledJob>(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Writes what follows from the list of jobs.
macro_rules! jobs {
    ($($job:ident),+ $(,)?) => {
        /// The names of all queues.
        pub const QUEUES: &[&str] = &[$(<$job as Job>::NAME),+];

        /// Does something for all kinds of job at the same time.
        ///
        /// # Errors
        /// The first one there is.
        pub async fn run_each(runner: &impl Runner) -> anyhow::Result<()> {
            tokio::try_join!($(runner.run::<$job>()),+).map(|_| ())
        }
    };
}

// The list.
jobs! {
    FetchBtcArs,
    Housekeeping,
}
