//! Reports about queues and jobs.

use std::collections::HashMap;

use clap::ValueEnum;
use poem_openapi::Enum;
use serde::Serialize;
use serde_json::Value;

/// Where a job is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// In the queue, for a worker to take.
    Waiting,
    /// A worker has it.
    Running,
    /// It has ended well.
    Done,
    /// It was given up.
    Dead,
}

/// How a queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueReport {
    /// Its name.
    pub name: &'static str,
    /// Set while it is paused.
    pub paused: Option<Pause>,
    /// Jobs by state, in the order of [`JobState::ALL`].
    pub jobs: [u64; 4],
    /// The milliseconds since the oldest waiting job was enqueued; `None` if there is none.
    pub oldest_age_ms: Option<i64>,
    /// Workers that take jobs from it.
    pub workers: u64,
}

/// That a queue is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when, in unix seconds.
    pub since: i64,
    /// By whom, `<user>@<host>`.
    pub by: String,
    /// Why.
    pub note: String,
}

/// A job in a queue. Times are unix milliseconds by the clock of Redis; `None` where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct JobReport {
    /// Its id, a ULID: the ids of later jobs are greater.
    pub id: String,
    /// The name of its queue.
    pub queue: &'static str,
    /// What is to be done; as text if it is not JSON.
    pub job: Value,
    /// Where it is.
    pub state: JobState,
    /// When it was enqueued.
    pub enqueued_ms: Option<i64>,
    /// When it was begun, the last time.
    pub begun_ms: Option<i64>,
    /// When it has ended.
    pub ended_ms: Option<i64>,
    /// How many times it was begun.
    pub tries: u32,
    /// The worker that has begun it, the last time.
    pub worker: Option<String>,
    /// Why it was given up.
    pub error: Option<String>,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Dead];

    /// Its name, as people and programs read it.
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
    /// How many of its jobs are in a state.
    pub fn count(&self, state: JobState) -> u64 {
        let of_state = JobState::ALL.into_iter().zip(self.jobs).find(|(it, _)| *it == state);
        of_state.map_or(0, |(_, count)| count)
    }
}

/// The report of a job: of its data, and of the fields that apalis and the scripts of this room keep.
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
        begun_ms: number("begun_ms"),
        ended_ms: number("ended_ms"),
        tries: number("begun").and_then(|tries: i64| u32::try_from(tries).ok()).unwrap_or(0),
        worker: meta.get("worker").cloned(),
        error: meta.get("result").filter(|_| state == JobState::Dead).map(|text| error_of(text)),
    }
}

/// The unix millisecond in which the id of a job was made, by the clock of the machine that enqueued it.
pub(super) fn created_ms(id: &str) -> Option<i64> {
    i64::try_from(ulid::Ulid::from_string(id).ok()?.timestamp_ms()).ok()
}

/// The error in what apalis keeps as the result of a job: `{"Err":"AbortError: ..."}`.
fn error_of(result: &str) -> String {
    let value: Value = serde_json::from_str(result).unwrap_or_default();
    let text = value.get("Err").and_then(Value::as_str).unwrap_or(result);
    text.strip_prefix("AbortError: ").unwrap_or(text).to_owned()
}
