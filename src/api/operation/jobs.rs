//! Response types of jobs. May use the domain and the queue.

use poem_openapi::Object;
use redis::RedisResult;
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::numbers::seconds,
    domain::{Page, PageNumber, PageSize},
    queue::{Inspector, JobReport, JobState},
};

/// A job in a queue.
#[derive(Debug, Object, Serialize)]
pub struct JobResponse {
    /// Unique id. Jobs that are enqueued later have greater ids.
    pub id: String,
    /// Name of the queue, which is also the kind of the job.
    pub queue: String,
    /// Parameters of the job, such as the slot whose price it fetches (its first Unix second).
    pub job: Value,
    /// State of the job.
    pub state: JobState,
    /// Time at which the job was enqueued, in Unix seconds (UTC) with milliseconds; null if unknown.
    pub enqueued_at: Option<f64>,
    /// Start of the last attempt, in Unix seconds (UTC) with milliseconds; null before the first attempt.
    pub started_at: Option<f64>,
    /// End of the job, in Unix seconds (UTC) with milliseconds; null if it has not ended.
    pub ended_at: Option<f64>,
    /// Duration of the last attempt in seconds; null if the job has not ended.
    pub duration: Option<f64>,
    /// Number of attempts: more than one if a worker terminated while it ran the job.
    pub tries: u32,
    /// Name of the worker of the last attempt; null before the first attempt.
    pub worker: Option<String>,
    /// Reason why the job is dead; null for jobs that are not dead.
    pub error: Option<String>,
}

/// Returns one page of jobs, newest first; `None` if the page does not exist.
///
/// # Errors
/// Returns an error if Redis fails.
pub async fn job_page(
    inspector: &Inspector,
    queues: &[&'static str],
    states: &[JobState],
    number: PageNumber,
    size: PageSize,
) -> RedisResult<Option<Page<JobResponse>>> {
    let count = inspector.count(queues, states).await?;
    let Some((number, pages)) = number.locate(count, size) else { return Ok(None) };
    let skipped = usize::try_from((number - 1) * size.get()).unwrap_or(usize::MAX);
    let most = usize::try_from(size.get()).unwrap_or(usize::MAX);
    let jobs = inspector.jobs(queues, states, skipped, most).await?;
    let items = jobs.into_iter().map(Into::into).collect();
    Ok(Some(Page { count, number, pages, items }))
}

impl From<JobReport> for JobResponse {
    fn from(report: JobReport) -> Self {
        let elapsed = report.ended_ms.zip(report.started_ms).map(|(ended, begun)| ended - begun);
        Self {
            id: report.id,
            queue: report.queue.to_owned(),
            job: report.job,
            state: report.state,
            enqueued_at: report.enqueued_ms.map(seconds),
            started_at: report.started_ms.map(seconds),
            ended_at: report.ended_ms.map(seconds),
            duration: elapsed.filter(|elapsed| *elapsed >= 0).map(seconds),
            tries: report.attempts,
            worker: report.worker,
            error: report.error,
        }
    }
}
