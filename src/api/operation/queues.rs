//! What is answered about queues.

use poem_openapi::Object;

use crate::{
    api::{error::ApiError, numbers::seconds},
    queue::{Inspector, JobState, Pause, QueueReport},
    store::StoreError,
};

/// The queues of jobs.
#[derive(Debug, Object)]
pub struct QueueListResponse {
    /// One for each kind of job.
    pub queues: Vec<QueueResponse>,
}

/// A queue of jobs.
#[derive(Debug, Clone, Object)]
pub struct QueueResponse {
    /// Its name, which is that of its jobs.
    pub name: String,
    /// Set while it is paused: then nothing is enqueued into it, and workers take nothing from it.
    pub paused: Option<PauseResponse>,
    /// Jobs that wait for a worker.
    pub waiting: u64,
    /// Jobs that workers run.
    pub running: u64,
    /// Jobs that have ended well and are still remembered.
    pub done: u64,
    /// Jobs that were given up and are still remembered.
    pub dead: u64,
    /// The seconds since the oldest waiting job was enqueued; null if none waits.
    pub oldest_due_age: Option<f64>,
    /// Workers that take jobs from it.
    pub workers: u64,
}

/// That a queue is paused.
#[derive(Debug, Clone, Object)]
pub struct PauseResponse {
    /// Since when, in unix seconds (UTC).
    pub since: i64,
    /// By whom.
    pub by: String,
    /// Why, in the words of the operator; may be empty.
    pub note: String,
}

/// How the queues are.
///
/// # Errors
/// If Redis fails.
pub async fn queues(inspector: &Inspector) -> Result<QueueListResponse, StoreError> {
    let queues = inspector.queues().await.map_err(failed)?;
    Ok(QueueListResponse { queues: queues.into_iter().map(Into::into).collect() })
}

/// An error of Redis, when a queue was to be read.
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
