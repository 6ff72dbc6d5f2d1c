//! Which processes are at work: each says so every two seconds, with what it is and what it has done, so
//! that health checks, the api and operators can see it from outside.

use std::{collections::HashMap, sync::LazyLock};

use redis::{RedisResult, Script, pipe};

use super::{Store, StoreError, answer, keys};

static HEARTBEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("heartbeat.lua")));

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Enqueues a job a slot.
    Scheduler,
    /// Runs jobs.
    Worker,
    /// Answers questions.
    Api,
}

/// Processes that were silent for this many seconds are forgotten.
const FORGET_AFTER_SECONDS: i64 = 3600;
/// A process that was silent for longer, in seconds, is not at work.
const ALIVE_SECONDS: i64 = 10;

/// What a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it does.
    pub role: Role,
    /// Its name among all processes, `<host>-<pid>.<random>`.
    pub name: String,
    /// The name of its machine or container.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// The version of Cotiza that it is, with the commit.
    pub version: &'static str,
    /// When it was started, in unix seconds.
    pub started_at: i64,
}

/// What a worker has done lately, in unix seconds; `None` if it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// When it has begun to fetch a price.
    pub begun: Option<i64>,
    /// When it has recorded a price, or found it recorded.
    pub recorded: Option<i64>,
}

/// What is known of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessReport {
    /// What it does.
    pub role: Role,
    /// Its name among all processes.
    pub name: String,
    /// The name of its machine or container.
    pub host: String,
    /// Its number there; `None` of a version that does not tell.
    pub pid: Option<u32>,
    /// Its version; `None` of a version that does not tell.
    pub version: Option<String>,
    /// When it was started, in unix seconds.
    pub started_at: Option<i64>,
    /// When it was last at work, in unix seconds.
    pub last_seen: i64,
    /// The seconds since then.
    pub silence: i64,
    /// How far the clock of its machine is ahead of the clock of Redis, in seconds.
    pub clock_skew: Option<f64>,
    /// What it has done.
    pub activity: Activity,
}

impl ProcessReport {
    /// Whether it is at work.
    pub fn is_alive(&self) -> bool {
        self.silence <= ALIVE_SECONDS
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Scheduler, Self::Worker, Self::Api];

    /// Its name, as people and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Worker => "worker",
            Self::Api => "api",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Scheduler => keys::SCHEDULERS_SEEN,
            Self::Worker => keys::WORKERS_SEEN,
            Self::Api => keys::APIS_SEEN,
        }
    }
}

impl Store {
    /// Notes that a process is at work now, and how wrong the clock of its machine is.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn heartbeat(&self, member: &Member, activity: Activity) -> Result<(), StoreError> {
        let mut step = HEARTBEAT.key(member.role.key());
        step.key(keys::SKEW).key(keys::process(&member.name));
        step.arg(&member.name).arg(format!("{:.3}", self.clock.skew())).arg(FORGET_AFTER_SECONDS);
        step.arg("host").arg(&member.host).arg("pid").arg(member.pid);
        step.arg("version").arg(member.version).arg("started_at").arg(member.started_at);
        for (field, at) in [("begun", activity.begun), ("recorded", activity.recorded)] {
            if let Some(at) = at {
                step.arg(field).arg(at);
            }
        }
        let connection = &mut self.connection.clone();
        let noted = step.invoke_async::<u64>(connection);
        answer("note a heartbeat", noted).await.map(|_| ())
    }

    /// Forgets a process that ends.
    ///
    /// # Errors
    /// If Redis fails; it is forgotten an hour later then.
    pub async fn leave(&self, member: &Member) -> Result<(), StoreError> {
        let name = &member.name;
        let mut step = pipe();
        step.zrem(member.role.key(), name).zrem(keys::SKEW, name).unlink(keys::process(name));
        step.unlink(format!("{}{name}", keys::CIRCUITS));
        let gone: RedisResult<()> = step.query_async(&mut self.connection.clone()).await;
        gone.map_err(super::failed("note that a process ends"))
    }

    /// All processes that were at work within the last hour, by role and name.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn processes(&self) -> Result<Vec<ProcessReport>, StoreError> {
        type Seen = Vec<(String, i64)>;
        let connection = &mut self.connection.clone();
        let mut read = pipe();
        read.cmd("TIME").zrange_withscores(keys::SKEW, 0, -1);
        for role in Role::ALL {
            read.zrange_withscores(role.key(), 0, -1);
        }
        let read =
            read.query_async::<((i64, i64), Vec<(String, f64)>, Seen, Seen, Seen)>(connection);
        let ((now, _), skews, schedulers, workers, apis) =
            answer("look for processes", read).await?;
        let skews: HashMap<String, f64> = skews.into_iter().collect();
        let seen = Role::ALL.into_iter().zip([schedulers, workers, apis]);
        let seen: Vec<_> = seen
            .flat_map(|(role, of_role)| of_role.into_iter().map(move |(name, at)| (role, name, at)))
            .collect();
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for (_, name, _) in &seen {
            read.hgetall(keys::process(name));
        }
        let read = read.query_async::<Vec<HashMap<String, String>>>(connection);
        let details = answer("read what processes are", read).await?;
        let mut reports: Vec<_> = seen
            .into_iter()
            .zip(details)
            .map(|((role, name, last_seen), details)| {
                let clock_skew = skews.get(&name).copied();
                report(role, name, (last_seen, now), clock_skew, &details)
            })
            .collect();
        reports.sort_by(|one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
        Ok(reports)
    }
}

fn report(
    role: Role,
    name: String,
    (last_seen, now): (i64, i64),
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
        last_seen,
        silence: (now - last_seen).max(0),
        clock_skew,
        activity: Activity { begun: number("begun"), recorded: number("recorded") },
    }
}
