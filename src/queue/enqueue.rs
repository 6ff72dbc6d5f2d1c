//! Puts jobs into their queue, each at most once.

use std::{marker::PhantomData, sync::LazyLock};

use apalis::prelude::{TaskBuilder, TaskId};
use apalis_redis::queries::push_tasks;
use redis::{AsyncCommands, RedisResult, Script};

use super::{
    Job, run,
    settings::{self, is_away},
    tidy,
};
use crate::{
    config,
    connection::{self, Server, SharedConnection},
    metrics::{Metric, Metrics},
};

static WAITING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("waiting.lua")));

/// Of the jobs without a worker, those that are looked at: each look is a slot after the one before.
const UNCLAIMED: usize = 100;

/// Puts jobs of one kind into their queue.
pub struct Enqueuer<J> {
    connection: SharedConnection,
    metrics: Metrics,
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
#[non_exhaustive]
pub enum EnqueueError {
    /// Its queue is paused.
    #[error("cannot enqueue {job}: the queue {queue} is paused")]
    Paused {
        /// The job.
        job: String,
        /// The name of the queue.
        queue: &'static str,
    },
    /// Redis failed, or the job cannot be written.
    #[error("cannot enqueue {job}: {reason}")]
    Failed {
        /// The job.
        job: String,
        /// What happened.
        reason: String,
        /// Whether Redis is away, which is logged elsewhere, see [`connection::is_away`].
        is_away: bool,
    },
}

impl<J: Job> Enqueuer<J> {
    /// An enqueuer on the given Redis, which is connected to on first use; it counts what it enqueues.
    pub fn new(server: &Server, metrics: Metrics) -> Self {
        Self { connection: server.shared(), metrics, job: PhantomData }
    }

    /// Enqueues the job unless its key was enqueued before, and wakes an idle worker.
    ///
    /// # Errors
    /// If the queue is paused, or if Redis fails. The job may be in the queue even then: enqueue it
    /// again.
    pub async fn enqueue(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.push(job, &job.key(), None).await
    }

    /// Enqueues the job once more, whether its key was enqueued before or not; gives its id.
    ///
    /// # Errors
    /// If the queue is paused, or if Redis fails.
    pub async fn enqueue_by_hand(&self, job: &J) -> Result<String, EnqueueError> {
        let id = ulid::Ulid::generate().to_string();
        self.push(job, &format!("{}:{id}", job.key()), Some(id.clone())).await?;
        Ok(id)
    }

    async fn push(&self, job: &J, key: &str, id: Option<String>) -> Result<Enqueued, EnqueueError> {
        let failed = |is_away: bool, reason: String| {
            let job = format!("{job:?}");
            EnqueueError::Failed { job, reason, is_away }
        };
        let failed_redis =
            |error: redis::RedisError| failed(connection::is_away(&error), error.to_string());
        let payload = serde_json::to_vec(job).map_err(|error| failed(false, error.to_string()))?;
        let mut connection = self.connection.clone();
        let settings = settings::of(&connection, J::NAME).await.map_err(failed_redis)?;
        if connection.exists(settings::pause(&settings)).await.map_err(failed_redis)? {
            return Err(EnqueueError::Paused { job: format!("{job:?}"), queue: J::NAME });
        }
        let mut task = TaskBuilder::new(payload).idempotency_key(key);
        if let Some(id) = id {
            task = task.task_id(TaskId::from(id));
        }
        let (active, scheduled) = push_tasks(&mut connection, &settings, &[task.build()])
            .await
            .map_err(|error| failed(is_away(&error), error.to_string()))?;
        // Also if another process has pushed the job: it may have failed before this step.
        tidy::promote(&mut connection, &settings).await.map_err(failed_redis)?;
        if active + scheduled == 0 {
            return Ok(Enqueued::Already);
        }
        self.metrics.count(Metric::JobsEnqueued, &[J::NAME]);
        // Only a hint: the workers look by themselves once a second.
        let announced: RedisResult<()> = connection.publish(settings::channel(&settings), 1).await;
        if let Err(error) = announced {
            tracing::debug!(%error, "could not announce a job");
        }
        Ok(Enqueued::New)
    }

    /// The newest jobs that wait while no worker is alive. None in the first moments of a connection: while
    /// Redis was away, workers could not send heartbeats.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn unclaimed(&self, queue: &config::Queue) -> RedisResult<Vec<J>> {
        if self.connection.current().await?.age() < 2 * queue.silence() {
            return Ok(Vec::new());
        }
        let silence = queue.silence().as_millis();
        let settings = settings::of(&self.connection, J::NAME).await?;
        let mut look = WAITING.key(settings.active_jobs_list());
        look.key(settings.job_data_hash()).key(settings::alive_set(&settings));
        look.arg(u64::try_from(silence).unwrap_or(u64::MAX)).arg(UNCLAIMED);
        let jobs: Vec<Vec<u8>> = look.invoke_async(&mut self.connection.clone()).await?;
        Ok(jobs.iter().filter_map(|payload| run::read(payload)).collect())
    }
}

impl<J: Job> std::fmt::Debug for Enqueuer<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enqueuer").field("queue", &J::NAME).finish_non_exhaustive()
    }
}
