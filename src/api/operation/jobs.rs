//! What is answered about jobs.

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
    /// Its id: the ids of later jobs are greater.
    pub id: String,
    /// The name of its queue, which is that of the job.
    pub queue: String,
    /// What is to be done, such as the slot whose price is to be fetched.
    pub job: Value,
    /// Where it is.
    pub state: JobState,
    /// When it was enqueued, in unix seconds (UTC).
    pub enqueued_at: Option<f64>,
    /// When it was begun, the last time.
    pub started_at: Option<f64>,
    /// When it has ended.
    pub ended_at: Option<f64>,
    /// The seconds that it took.
    pub duration: Option<f64>,
    /// How many times it was begun: more than once if a worker died with it.
    pub tries: u32,
    /// The worker that has begun it, the last time.
    pub worker: Option<String>,
    /// Why it was given up.
    pub error: Option<String>,
}

/// One page of jobs, newest first; `None` past the end.
///
/// # Errors
/// If Redis fails.
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
        let took = report.ended_ms.zip(report.begun_ms).map(|(ended, begun)| ended - begun);
        Self {
            id: report.id,
            queue: report.queue.to_owned(),
            job: report.job,
            state: report.state,
            enqueued_at: report.enqueued_ms.map(seconds),
            started_at: report.begun_ms.map(seconds),
            ended_at: report.ended_ms.map(seconds),
            duration: took.filter(|took| *took >= 0).map(seconds),
            tries: report.tries,
            worker: report.worker,
            error: report.error,
        }
    }
}
