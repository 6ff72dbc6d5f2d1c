//! Reports about queues and jobs.

use std::collections::HashMap;

use clap::ValueEnum;
use poem_openapi::Enum;
use serde::Serialize;
use serde_json::Value;

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The job waits for a worker.
    Waiting,
    /// A worker runs the job.
    Running,
    /// The job succeeded.
    Done,
    /// The job failed and is not retried.
    Dead,
}

/// The status of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueReport {
    /// Its name.
    pub name: &'static str,
    /// The pause; `None` if the queue is not paused.
    pub paused: Option<Pause>,
    /// The number of jobs by state, in the order of [`JobState::ALL`].
    pub jobs: [u64; 4],
    /// The milliseconds since the oldest waiting job was enqueued; `None` if there is none.
    pub oldest_age_ms: Option<i64>,
    /// The number of live workers.
    pub workers: u64,
}

/// The pause of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The start of the pause, in unix seconds.
    pub since: i64,
    /// The operator who paused the queue, `<user>@<host>`.
    pub by: String,
    /// The operator's note on the reason.
    pub note: String,
}

/// A job in a queue. Times are unix milliseconds by the clock of Redis; `None` if unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReport {
    /// Its id, a ULID: jobs that are enqueued later have greater ids.
    pub id: String,
    /// The name of its queue.
    pub queue: &'static str,
    /// Its payload; as text if it is not JSON.
    pub job: Value,
    /// Its state.
    pub state: JobState,
    /// When it was enqueued.
    pub enqueued_ms: Option<i64>,
    /// When it was last started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// How many times it was started.
    pub attempts: u32,
    /// The worker that last started it.
    pub worker: Option<String>,
    /// The error of a dead job.
    pub error: Option<String>,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Dead];

    /// Returns the name of the state in the API, on the command line and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl QueueReport {
    /// Returns the number of jobs in the state.
    pub fn count(&self, state: JobState) -> u64 {
        let in_state = JobState::ALL.into_iter().zip(self.jobs).find(|(it, _)| *it == state);
        in_state.map_or(0, |(_, count)| count)
    }
}

/// Creates the report of a job from its data and from the metadata that apalis and the scripts of this
/// module store.
pub(super) fn job_report(
    id: String,
    queue: &'static str,
    state: JobState,
    data: &[u8],
    meta: &HashMap<String, String>,
) -> JobReport {
    let job = serde_json::from_slice(data)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(data).into_owned()));
    let number = |field: &str| meta.get(field)?.parse().ok();
    JobReport {
        id,
        queue,
        job,
        state,
        enqueued_ms: number("enqueued_ms"),
        started_ms: number("begun_ms"),
        ended_ms: number("ended_ms"),
        attempts: number("begun")
            .and_then(|attempts: i64| u32::try_from(attempts).ok())
            .unwrap_or(0),
        worker: meta.get("worker").cloned(),
        error: meta.get("result").filter(|_| state == JobState::Dead).map(|text| error_of(text)),
    }
}

/// Returns the unix milliseconds at which the id of a job was created, by the clock of the machine that
/// enqueued the job.
pub(super) fn created_ms(id: &str) -> Option<i64> {
    i64::try_from(ulid::Ulid::from_string(id).ok()?.timestamp_ms()).ok()
}

/// Returns the error in the result that apalis stores for a job: `{"Err":"AbortError: ..."}`.
fn error_of(result: &str) -> String {
    let value: Value = serde_json::from_str(result).unwrap_or_default();
    let text = value.get("Err").and_then(Value::as_str).unwrap_or(result);
    text.strip_prefix("AbortError: ").unwrap_or(text).to_owned()
}
