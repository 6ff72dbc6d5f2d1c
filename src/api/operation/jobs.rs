//! What is answered about jobs.

use poem_openapi::{Enum, Object};
use redis::RedisResult;
use serde::Serialize;
use serde_json::Value;

use crate::{
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
    pub state: JobStateResponse,
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

/// Where a job is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum JobStateResponse {
    /// In the queue, for a worker to take.
    Waiting,
    /// A worker has it.
    Running,
    /// It has ended well.
    Done,
    /// It was given up.
    Dead,
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
    let (count, _) = inspector.jobs(queues, states, 0, 0).await?;
    let Some((number, pages)) = number.locate(count, size) else { return Ok(None) };
    let skipped = usize::try_from((number - 1) * size.get()).unwrap_or(usize::MAX);
    let most = usize::try_from(size.get()).unwrap_or(usize::MAX);
    let (_, jobs) = inspector.jobs(queues, states, skipped, most).await?;
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
            state: report.state.into(),
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

impl JobStateResponse {
    /// Its name, as people and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => JobState::Waiting,
            Self::Running => JobState::Running,
            Self::Done => JobState::Done,
            Self::Dead => JobState::Dead,
        }
        .name()
    }
}

impl From<JobState> for JobStateResponse {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Waiting => Self::Waiting,
            JobState::Running => Self::Running,
            JobState::Done => Self::Done,
            JobState::Dead => Self::Dead,
        }
    }
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
