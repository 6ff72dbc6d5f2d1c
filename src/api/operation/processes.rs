//! Response types of processes. May use the queue and the store.

use poem_openapi::{Enum, Object};
use serde_json::Value;

use super::queues::failed;
use crate::{
    api::numbers::{rounded, seconds},
    queue::{Inspector, JobReport, JobState},
    store::{ProcessReport, Role, Store, StoreError},
};

/// The maximum number of running jobs that are read.
const MOST_RUNNING: usize = 1000;

/// The processes of Cotiza.
#[derive(Debug, Object)]
pub struct ProcessListResponse {
    /// Processes that sent a heartbeat within the last hour and have not shut down since.
    pub processes: Vec<ProcessResponse>,
}

/// A process of Cotiza.
#[derive(Debug, Object)]
pub struct ProcessResponse {
    /// Unique name of the process.
    pub name: String,
    /// Role of the process.
    pub role: RoleResponse,
    /// Name of the machine or container.
    pub host: String,
    /// Process id on that host; null if unknown.
    pub pid: Option<u32>,
    /// Version of Cotiza, with the commit; null if unknown.
    pub version: Option<String>,
    /// Start time, in Unix seconds (UTC); null if unknown.
    pub started_at: Option<i64>,
    /// Time of the last heartbeat, in Unix seconds (UTC).
    pub last_seen: i64,
    /// Whether the last heartbeat is at most 10 seconds old.
    pub alive: bool,
    /// Number of seconds by which the clock of the machine is ahead of the clock of Redis; null if unknown.
    pub clock_skew: Option<f64>,
    /// Jobs that the process is running.
    pub work: Vec<WorkResponse>,
}

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum RoleResponse {
    /// Enqueues a job for each slot.
    Scheduler,
    /// Runs jobs.
    Worker,
    /// Serves the HTTP API.
    Api,
}

/// A job that a worker is running.
#[derive(Debug, Object)]
pub struct WorkResponse {
    /// Name of the queue.
    pub queue: String,
    /// Id of the job.
    pub id: String,
    /// Parameters of the job.
    pub job: Value,
    /// Start of the attempt, in Unix seconds (UTC) with milliseconds; null if unknown.
    pub started_at: Option<f64>,
}

/// Returns the processes that sent a heartbeat within the last hour and have not shut down since.
///
/// # Errors
/// Returns an error if Redis fails.
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
    // The name of a worker is the name of its process, a hyphen and a number.
    let is_of = |job: &&JobReport| {
        let worker = job.worker.as_deref().and_then(|worker| worker.rsplit_once('-'));
        worker.is_some_and(|(process, _)| process == report.name)
    };
    let work = running.iter().filter(is_of).map(|job| WorkResponse {
        queue: job.queue.to_owned(),
        id: job.id.clone(),
        job: job.job.clone(),
        started_at: job.started_ms.map(seconds),
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
        last_seen: report.last_heartbeat,
        clock_skew: report.clock_skew.map(rounded),
        name: report.name,
    }
}
