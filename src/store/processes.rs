//! The running processes. Each sends a heartbeat every two seconds, with its description and activity,
//! for health checks, the api and operators.

use std::{collections::HashMap, sync::LazyLock};

use redis::{Script, pipe};

use super::{Store, StoreError, keys, send};

static HEARTBEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("heartbeat.lua")));

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Enqueues one job per slot.
    Scheduler,
    /// Runs jobs.
    Worker,
    /// Serves the REST API.
    Api,
}

/// Processes whose last heartbeat is older, in seconds, are removed.
const REMOVE_AFTER_SECONDS: i64 = 3600;
/// A process whose last heartbeat is older, in seconds, is not alive.
const ALIVE_SECONDS: i64 = 10;

/// The description of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its role.
    pub role: Role,
    /// Its unique name, `<host>-<pid>.<random>`.
    pub name: String,
    /// The name of its machine or container.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its version, with the commit.
    pub version: &'static str,
    /// When it was started, in unix seconds.
    pub started_at: i64,
}

/// The latest activity of a worker, in unix seconds; `None` if there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// When it last started to fetch a price.
    pub started: Option<i64>,
    /// When it last recorded a price, or found that the slot had one.
    pub recorded: Option<i64>,
}

/// A process as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessReport {
    /// Its role.
    pub role: Role,
    /// Its unique name.
    pub name: String,
    /// The name of its machine or container.
    pub host: String,
    /// Its process id there; `None` if its version does not report it.
    pub pid: Option<u32>,
    /// Its version; `None` if its version does not report it.
    pub version: Option<String>,
    /// When it was started, in unix seconds.
    pub started_at: Option<i64>,
    /// When it sent its last heartbeat, in unix seconds.
    pub last_heartbeat: i64,
    /// The seconds since the last heartbeat.
    pub silence: i64,
    /// How far the clock of its machine is ahead of the clock of Redis, in seconds.
    pub clock_skew: Option<f64>,
    /// Its latest activity.
    pub activity: Activity,
}

impl ProcessReport {
    /// Whether its last heartbeat is recent.
    pub fn is_alive(&self) -> bool {
        self.silence <= ALIVE_SECONDS
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Scheduler, Self::Worker, Self::Api];

    /// The name of the role in Redis, in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Worker => "worker",
            Self::Api => "api",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Scheduler => keys::SCHEDULER_HEARTBEATS,
            Self::Worker => keys::WORKER_HEARTBEATS,
            Self::Api => keys::API_HEARTBEATS,
        }
    }
}

impl Store {
    /// Records a heartbeat of a process, and how far the clock of its machine differs from that of Redis.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn heartbeat(
        &self,
        member: &ProcessInfo,
        activity: Activity,
    ) -> Result<(), StoreError> {
        let mut step = HEARTBEAT.key(member.role.key());
        step.key(keys::SKEW).key(keys::process(&member.name));
        step.arg(&member.name).arg(format!("{:.3}", self.clock.skew())).arg(REMOVE_AFTER_SECONDS);
        step.arg("host").arg(&member.host).arg("pid").arg(member.pid);
        step.arg("version").arg(member.version).arg("started_at").arg(member.started_at);
        for (field, at) in [("begun", activity.started), ("recorded", activity.recorded)] {
            if let Some(at) = at {
                step.arg(field).arg(at);
            }
        }
        let connection = &mut self.connection.clone();
        let sent = step.invoke_async::<u64>(connection);
        send("send a heartbeat", sent).await.map(drop)
    }

    /// Removes a process that ends.
    ///
    /// # Errors
    /// Returns an error if Redis fails. The process is then removed an hour later.
    pub async fn deregister(&self, member: &ProcessInfo) -> Result<(), StoreError> {
        let name = &member.name;
        let mut step = pipe();
        step.zrem(member.role.key(), name).zrem(keys::SKEW, name).unlink(keys::process(name));
        step.unlink(keys::circuits(name));
        let connection = &mut self.connection.clone();
        send("remove a process", step.query_async::<()>(connection)).await
    }

    /// All processes that have sent a heartbeat within the last hour, by role and name.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn processes(&self) -> Result<Vec<ProcessReport>, StoreError> {
        type Heartbeats = Vec<(String, i64)>;
        let connection = &mut self.connection.clone();
        let mut read = pipe();
        read.cmd("TIME").zrange_withscores(keys::SKEW, 0, -1);
        for role in Role::ALL {
            read.zrange_withscores(role.key(), 0, -1);
        }
        let read = read
            .query_async::<((i64, i64), Vec<(String, f64)>, Heartbeats, Heartbeats, Heartbeats)>(
                connection,
            );
        let ((now, _), skews, schedulers, workers, apis) = send("list the processes", read).await?;
        let skews: HashMap<String, f64> = skews.into_iter().collect();
        let heartbeats = Role::ALL.into_iter().zip([schedulers, workers, apis]);
        let heartbeats: Vec<_> = heartbeats
            .flat_map(|(role, of_role)| of_role.into_iter().map(move |(name, at)| (role, name, at)))
            .collect();
        if heartbeats.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for (_, name, _) in &heartbeats {
            read.hgetall(keys::process(name));
        }
        let read = read.query_async::<Vec<HashMap<String, String>>>(connection);
        let details = send("read the details of processes", read).await?;
        let mut reports: Vec<_> = heartbeats
            .into_iter()
            .zip(details)
            .map(|((role, name, last_heartbeat), details)| {
                let clock_skew = skews.get(&name).copied();
                report(role, name, (last_heartbeat, now), clock_skew, &details)
            })
            .collect();
        reports.sort_by(|one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
        Ok(reports)
    }
}

fn report(
    role: Role,
    name: String,
    (last_heartbeat, now): (i64, i64),
    clock_skew: Option<f64>,
    details: &HashMap<String, String>,
) -> ProcessReport {
    let number = |field: &str| details.get(field).and_then(|text| text.parse::<i64>().ok());
    let of_name = name.rsplit_once('-').map_or(name.as_str(), |(host, _)| host);
    ProcessReport {
        role,
        host: details.get("host").map_or(of_name, String::as_str).to_owned(),
        name,
        pid: number("pid").and_then(|pid| u32::try_from(pid).ok()),
        version: details.get("version").cloned(),
        started_at: number("started_at"),
        last_heartbeat,
        silence: (now - last_heartbeat).max(0),
        clock_skew,
        activity: Activity { started: number("begun"), recorded: number("recorded") },
    }
}
