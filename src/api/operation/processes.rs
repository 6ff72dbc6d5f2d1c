//! What is answered about processes.

use poem_openapi::{Enum, Object};
use serde_json::Value;

use super::queues::failed;
use crate::{
    api::numbers::{rounded, seconds},
    queue::{Inspector, JobReport, JobState},
    store::{ProcessReport, Role, Store, StoreError},
};

/// The most running jobs that are read.
const MOST_RUNNING: usize = 1000;

/// The processes of Cotiza.
#[derive(Debug, Object)]
pub struct ProcessListResponse {
    /// Those that were at work within the last hour and have not said that they end.
    pub processes: Vec<ProcessResponse>,
}

/// A process.
#[derive(Debug, Object)]
pub struct ProcessResponse {
    /// Its name among all processes.
    pub name: String,
    /// What it does.
    pub role: RoleResponse,
    /// The name of its machine or container.
    pub host: String,
    /// Its number there.
    pub pid: Option<u32>,
    /// The version of Cotiza that it is, with the commit.
    pub version: Option<String>,
    /// When it was started, in unix seconds (UTC).
    pub started_at: Option<i64>,
    /// When it was last at work, in unix seconds (UTC).
    pub last_seen: i64,
    /// Whether it is at work: it was within the last 10 seconds.
    pub alive: bool,
    /// How far the clock of its machine is ahead of the clock of Redis, in seconds.
    pub clock_skew: Option<f64>,
    /// The jobs that it runs.
    pub work: Vec<WorkResponse>,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum RoleResponse {
    /// It enqueues a job for each slot.
    Scheduler,
    /// It runs jobs.
    Worker,
    /// It answers questions.
    Api,
}

/// A job that a worker runs.
#[derive(Debug, Object)]
pub struct WorkResponse {
    /// The name of its queue.
    pub queue: String,
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub job: Value,
    /// When it was begun, in unix seconds (UTC).
    pub started_at: Option<f64>,
}

/// The processes that were at work within the last hour.
///
/// # Errors
/// If Redis fails.
pub async fn processes(
    store: &Store,
    inspector: &Inspector,
) -> Result<ProcessListResponse, StoreError> {
    let (reports, running) = tokio::join!(
        store.processes(),
        inspector.jobs(inspector.names(), &[JobState::Running], 0, MOST_RUNNING),
    );
    let (reports, running) = (reports?, running.map_err(failed)?);
    let processes = reports.into_iter().map(|report| response(report, &running)).collect();
    Ok(ProcessListResponse { processes })
}

fn response(report: ProcessReport, running: &[JobReport]) -> ProcessResponse {
    // A worker of a queue is called as its process, with a number behind.
    let is_of = |job: &&JobReport| {
        let worker = job.worker.as_deref().and_then(|worker| worker.rsplit_once('-'));
        worker.is_some_and(|(process, _)| process == report.name)
    };
    let work = running.iter().filter(is_of).map(|job| WorkResponse {
        queue: job.queue.to_owned(),
        id: job.id.clone(),
        job: job.job.clone(),
        started_at: job.begun_ms.map(seconds),
    });
    ProcessResponse {
        work: work.collect(),
        role: match report.role {
            Role::Scheduler => RoleResponse::Scheduler,
            Role::Worker => RoleResponse::Worker,
            Role::Api => RoleResponse::Api,
        },
        alive: report.is_alive(),
        host: report.host,
        pid: report.pid,
        version: report.version,
        started_at: report.started_at,
        last_seen: report.last_seen,
        clock_skew: report.clock_skew.map(rounded),
        name: report.name,
    }
}
