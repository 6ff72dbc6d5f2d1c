//! The contract between the queue and its jobs.

use std::{error::Error, fmt};

use serde::{Serialize, de::DeserializeOwned};

/// A unit of work, as plain data. The contract:
///
/// - It runs at least once. If its worker crashes, another worker runs it again, so running it twice must
///   have the same result as running it once.
/// - `run` retries what can be retried. A job that returns an error is never run again.
/// - It is not cancelled, not even when the connection to Redis breaks. It limits its own time.
/// - A panic ends it like an error.
pub trait Job: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// The name of the job and of its queue: `snake_case`, without a colon.
    const NAME: &'static str;

    /// Everything that `run` needs besides the data of the job.
    type Context: Clone + Send + Sync + 'static;

    /// The idempotency key: a job with the same key is enqueued at most once.
    fn key(&self) -> String;

    /// The first unix second of the slot that the job is for, if any. It is a field of the log lines.
    fn slot(&self) -> Option<i64> {
        None
    }

    /// Does the work. `attempt` counts from 1; it is greater if workers crashed while they ran the job.
    ///
    /// # Errors
    /// Returns the error with which the job is dead.
    fn run(
        self,
        context: Self::Context,
        attempt: u32,
    ) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Called when the queue discards the job, instead of `run` or after it.
    fn discarded(
        self,
        _context: Self::Context,
        _reason: DiscardReason,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Why the queue discarded a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardReason {
    /// Too many jobs waited, and it was among the oldest.
    Backlog,
    /// It panicked.
    Panicked,
    /// It is a poison job: it was started several times and never ended, since its workers crashed.
    Poison,
}

/// The error of a job, which is not run again.
#[derive(Debug)]
pub struct JobError {
    /// A label for metrics, from a small set of words.
    pub(super) reason: &'static str,
    pub(super) error: Box<dyn Error + Send + Sync>,
}

impl JobError {
    /// An error with its own label for metrics, in `snake_case`.
    pub fn new(reason: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason, error: error.into() }
    }
}

/// Errors without a label of their own have the label `failed`.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::new("failed", error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
