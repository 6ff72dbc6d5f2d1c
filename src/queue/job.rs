//! What a job is.

use std::{error::Error, fmt};

use serde::{Serialize, de::DeserializeOwned};

/// A piece of work, as plain data. The contract:
///
/// - It runs at least once: a worker that dies is followed by another that runs its jobs again,
///   so `run` must come to the same end when it is run twice.
/// - A retry within reach is up to `run` itself. What it gives up is never run again.
/// - It is not cancelled, not even when the connection to Redis breaks; it bounds its own time.
/// - A panic ends it as given up.
pub trait Job: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// The name of the job and of its queue: `snake_case`, without a colon.
    const NAME: &'static str;

    /// All that `run` needs besides the job's own data.
    type Context: Clone + Send + Sync + 'static;

    /// The key under which the job is enqueued at most once.
    fn key(&self) -> String;

    /// The first unix second of the slot that the job is for, if it is for one: a field of its log lines.
    fn slot(&self) -> Option<i64> {
        None
    }

    /// Does the work. `tries` tells how many times it has been begun, this time included: more
    /// than 1 after a worker died of it, or with it.
    ///
    /// # Errors
    /// The reason for which the job is given up for good.
    fn run(
        self,
        context: Self::Context,
        tries: u32,
    ) -> impl Future<Output = Result<(), GiveUp>> + Send;

    /// Is told when the job is given up by others than `run` itself.
    fn given_up(self, _context: Self::Context, _why: GivenUp) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Why a job was given up by the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It was among the oldest of too many that waited.
    Backlog,
    /// It panicked.
    Panicked,
    /// It was begun several times and never came to an end: its workers died of it.
    Deadly,
}

/// The reason for which a job is given up for good.
#[derive(Debug)]
pub struct GiveUp {
    /// One of a few words, for metrics.
    pub(super) reason: &'static str,
    /// What happened.
    pub(super) error: Box<dyn Error + Send + Sync>,
}

impl GiveUp {
    /// A reason that metrics count by itself, in `snake_case`.
    pub fn because(reason: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason, error: error.into() }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for GiveUp {
    fn from(error: E) -> Self {
        Self::because("failed", error)
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
