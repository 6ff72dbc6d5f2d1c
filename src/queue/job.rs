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

    /// Does the work.
    ///
    /// # Errors
    /// The reason for which the job is given up for good.
    fn run(self, context: Self::Context) -> impl Future<Output = Result<(), GiveUp>> + Send;
}

/// The reason for which a job is given up for good.
#[derive(Debug)]
pub struct GiveUp(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for GiveUp {
    fn from(reason: E) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
