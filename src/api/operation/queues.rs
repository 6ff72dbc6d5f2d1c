//! Response types of queues. May use the queue and the errors of the store.

use poem_openapi::Object;

use crate::{
    api::{error::ApiError, numbers::seconds},
    queue::{Inspector, JobState, Pause, QueueReport},
    store::StoreError,
};

/// The queues of jobs.
#[derive(Debug, Object)]
pub struct QueueListResponse {
    /// The queues, one for each kind of job.
    pub queues: Vec<QueueResponse>,
}

/// A queue of jobs.
#[derive(Debug, Clone, Object)]
pub struct QueueResponse {
    /// Name of the queue, which is also the kind of its jobs.
    pub name: String,
    /// The pause, during which no jobs are enqueued and workers take no jobs; null if there is none.
    pub paused: Option<PauseResponse>,
    /// Number of jobs that wait for a worker.
    pub waiting: u64,
    /// Number of jobs that workers are running.
    pub running: u64,
    /// Number of jobs that succeeded and have not been deleted yet (see `queue.keep_done`).
    pub done: u64,
    /// Number of jobs that failed and have not been deleted yet (see `queue.keep_dead`).
    pub dead: u64,
    /// Time since the oldest waiting job was enqueued, in seconds; null if no jobs are waiting.
    pub oldest_due_age: Option<f64>,
    /// Number of workers that take jobs from the queue.
    pub workers: u64,
}

/// The pause of a queue.
#[derive(Debug, Clone, Object)]
pub struct PauseResponse {
    /// Start of the pause, in Unix seconds (UTC).
    pub since: i64,
    /// The operator who paused the queue.
    pub by: String,
    /// The operator's note on the reason; may be empty.
    pub note: String,
}

/// Returns the status of all queues.
///
/// # Errors
/// Returns an error if Redis fails.
pub async fn queues(inspector: &Inspector) -> Result<QueueListResponse, StoreError> {
    let queues = inspector.queues().await.map_err(failed)?;
    Ok(QueueListResponse { queues: queues.into_iter().map(Into::into).collect() })
}

/// Converts an error of Redis that occurred while queues were read.
pub(super) fn failed(cause: redis::RedisError) -> StoreError {
    StoreError::Redis { operation: "read the queues", cause }
}

impl From<redis::RedisError> for ApiError {
    fn from(cause: redis::RedisError) -> Self {
        failed(cause).into()
    }
}

impl From<QueueReport> for QueueResponse {
    fn from(report: QueueReport) -> Self {
        let count = |state| report.count(state);
        Self {
            name: report.name.to_owned(),
            waiting: count(JobState::Waiting),
            running: count(JobState::Running),
            done: count(JobState::Done),
            dead: count(JobState::Dead),
            oldest_due_age: report.oldest_age_ms.map(seconds),
            workers: report.workers,
            paused: report.paused.map(|Pause { since, by, note }| PauseResponse {
                since,
                by,
                note,
            }),
        }
    }
}
