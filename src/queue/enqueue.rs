//! Puts jobs into their queue, each at most once.

use std::{marker::PhantomData, sync::LazyLock};

use apalis::prelude::{TaskBuilder, TaskId};
use apalis_redis::queries::push_tasks;
use redis::{AsyncCommands, RedisResult, Script};

use super::{Job, backlog, run, settings};
use crate::{
    config,
    connection::{Server, SharedConnection},
    metrics::{Metric, Metrics},
};

static UNCLAIMED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("unclaimed.lua")));

/// The number of waiting jobs that are read when no worker is alive. They are read once per slot.
const MAX_UNCLAIMED: usize = 100;

/// Enqueues jobs of one kind.
pub struct Enqueuer<J> {
    connection: SharedConnection,
    metrics: Metrics,
    job: PhantomData<fn(J)>,
}

/// The result of enqueueing a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The job is in the queue.
    New,
    /// A job with the same key was enqueued before, by this process or another one.
    Already,
}

/// Why a job could not be enqueued. It may be in the queue nevertheless; its key makes it safe to enqueue
/// it again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The queue is paused.
    #[error("cannot enqueue {job}: the queue {queue} is paused")]
    Paused {
        /// The job.
        job: String,
        /// The name of the queue.
        queue: &'static str,
    },
    /// The job cannot be serialized.
    #[error("cannot enqueue {job}: {error}")]
    Serialize {
        /// The job.
        job: String,
        /// The cause.
        #[source]
        error: serde_json::Error,
    },
    /// Redis failed.
    #[error("cannot enqueue {job}: {error}")]
    Redis {
        /// The job.
        job: String,
        /// The cause.
        #[source]
        error: apalis_redis::Error,
    },
}

impl EnqueueError {
    /// Whether Redis is unavailable, which is logged elsewhere, see [`crate::connection::is_outage`].
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Redis { error, .. } if settings::is_outage(error))
    }
}

impl<J: Job> Enqueuer<J> {
    /// An enqueuer on a Redis, which is connected to on first use. It counts the jobs that it enqueues.
    pub fn new(server: &Server, metrics: Metrics) -> Self {
        Self { connection: server.shared(), metrics, job: PhantomData }
    }

    /// Enqueues the job unless a job with its key was enqueued before, and wakes an idle worker.
    ///
    /// # Errors
    /// Returns an error if the queue is paused or Redis fails. The job may be in the queue nevertheless:
    /// enqueue it again.
    pub async fn enqueue(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.push(job, &job.key(), None).await
    }

    /// Enqueues the job even if a job with its key was enqueued before. Returns the id of the new job.
    ///
    /// # Errors
    /// Returns an error if the queue is paused or Redis fails.
    pub async fn enqueue_manually(&self, job: &J) -> Result<String, EnqueueError> {
        let id = ulid::Ulid::generate().to_string();
        self.push(job, &format!("{}:{id}", job.key()), Some(id.clone())).await?;
        Ok(id)
    }

    async fn push(&self, job: &J, key: &str, id: Option<String>) -> Result<Enqueued, EnqueueError> {
        let name = || format!("{job:?}");
        let payload = serde_json::to_vec(job)
            .map_err(|error| EnqueueError::Serialize { job: name(), error })?;
        let pushed = self.push_payload(payload, key, id).await;
        match pushed.map_err(|error| EnqueueError::Redis { job: name(), error })? {
            Some(enqueued) => Ok(enqueued),
            None => Err(EnqueueError::Paused { job: name(), queue: J::NAME }),
        }
    }

    /// Returns `None` if the queue is paused.
    async fn push_payload(
        &self,
        payload: Vec<u8>,
        key: &str,
        id: Option<String>,
    ) -> Result<Option<Enqueued>, apalis_redis::Error> {
        let mut connection = self.connection.clone();
        let settings = settings::for_queue(&connection, J::NAME).await?;
        if connection.exists(settings::pause_key(&settings)).await? {
            return Ok(None);
        }
        let mut task = TaskBuilder::new(payload).idempotency_key(key);
        if let Some(id) = id {
            task = task.task_id(TaskId::from(id));
        }
        let (active, scheduled) = push_tasks(&mut connection, &settings, &[task.build()]).await?;
        // Even if another process has pushed the job: it may have failed before this step.
        backlog::promote(&mut connection, &settings).await?;
        if active + scheduled == 0 {
            return Ok(Some(Enqueued::Already));
        }
        self.metrics.count(Metric::JobsEnqueued, &[J::NAME]);
        // Only a hint: the workers poll once a second without it.
        let announced: RedisResult<()> =
            connection.publish(settings::jobs_channel(&settings), 1).await;
        if let Err(error) = announced {
            tracing::debug!(%error, "cannot announce a job");
        }
        Ok(Some(Enqueued::New))
    }

    /// The newest jobs that wait while no worker is alive. Returns none soon after a connection was
    /// opened: during an outage of Redis, workers cannot send heartbeats.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn unclaimed(&self, queue: &config::Queue) -> RedisResult<Vec<J>> {
        if self.connection.current().await?.age() < 2 * queue.silence() {
            return Ok(Vec::new());
        }
        let silence = queue.silence().as_millis();
        let settings = settings::for_queue(&self.connection, J::NAME).await?;
        let mut step = UNCLAIMED.key(settings.active_jobs_list());
        step.key(settings.job_data_hash()).key(settings::heartbeats_key(&settings));
        step.arg(u64::try_from(silence).unwrap_or(u64::MAX)).arg(MAX_UNCLAIMED);
        let jobs: Vec<Vec<u8>> = step.invoke_async(&mut self.connection.clone()).await?;
        Ok(jobs.iter().filter_map(|payload| run::read(payload)).collect())
    }
}

impl<J: Job> std::fmt::Debug for Enqueuer<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enqueuer").field("queue", &J::NAME).finish_non_exhaustive()
    }
}
