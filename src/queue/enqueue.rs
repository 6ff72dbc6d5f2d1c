//! Puts jobs into their queue, each at most once.

use std::marker::PhantomData;

use apalis::prelude::TaskBuilder;
use apalis_redis::{Config, queries::push_tasks};
use redis::{AsyncCommands, Client, RedisResult};

use super::{
    Job,
    settings::{self, is_away},
    tidy,
};
use crate::connection::{self, SharedConnection};

/// Puts jobs of one kind into their queue.
pub struct Enqueuer<J> {
    connection: SharedConnection,
    settings: Config,
    job: PhantomData<fn(J)>,
}

/// What came of enqueueing a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue.
    New,
    /// A job of the same key was enqueued before, by whomever.
    Already,
}

/// A job that may or may not be in the queue; enqueueing it again is safe, for its key.
#[derive(Debug, thiserror::Error)]
#[error("cannot enqueue {job}: {reason}")]
pub struct EnqueueError {
    job: String,
    reason: String,
    is_away: bool,
}

impl EnqueueError {
    /// Whether Redis is away, which is logged elsewhere, see [`connection::is_away`].
    pub fn is_away(&self) -> bool {
        self.is_away
    }
}

impl<J: Job> Enqueuer<J> {
    /// An enqueuer on the given Redis, which is connected to on first use.
    ///
    /// # Errors
    /// If the URL of the client cannot be used.
    pub fn new(client: &Client) -> RedisResult<Self> {
        Ok(Self {
            connection: connection::shared(client)?,
            settings: settings::settings(J::NAME, 1),
            job: PhantomData,
        })
    }

    /// Enqueues the job unless its key was enqueued before, and wakes an idle worker.
    ///
    /// # Errors
    /// If Redis fails. The job may be in the queue even then: enqueue it again.
    pub async fn enqueue(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        let failed = |is_away: bool, reason: String| {
            let job = format!("{job:?}");
            EnqueueError { job, reason, is_away }
        };
        let payload = serde_json::to_vec(job).map_err(|error| failed(false, error.to_string()))?;
        let task = TaskBuilder::new(payload).idempotency_key(job.key()).build();
        let mut connection = self.connection.clone();
        let (active, scheduled) = push_tasks(&mut connection, &self.settings, &[task])
            .await
            .map_err(|error| failed(is_away(&error), error.to_string()))?;
        // Also if another process has pushed the job: it may have failed before this step.
        tidy::promote(&mut connection, &self.settings)
            .await
            .map_err(|error| failed(connection::is_away(&error), error.to_string()))?;
        if active + scheduled == 0 {
            return Ok(Enqueued::Already);
        }
        // Only a hint: the workers look by themselves once a second.
        let announced: RedisResult<()> =
            connection.publish(settings::channel(&self.settings), 1).await;
        if let Err(error) = announced {
            tracing::debug!(%error, "could not announce a job");
        }
        Ok(Enqueued::New)
    }
}

impl<J: Job> std::fmt::Debug for Enqueuer<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enqueuer").field("queue", &J::NAME).finish_non_exhaustive()
    }
}
