//! Which processes were lately at work, so that a health check can ask from outside the process.

use std::sync::LazyLock;

use redis::{Script, pipe};

use super::{Store, StoreError, answer, keys};

static HEARTBEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("heartbeat.lua")));

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Role {
    fn key(self) -> &'static str {
        match self {
            Self::Scheduler => keys::SCHEDULERS_SEEN,
            Self::Worker => keys::WORKERS_SEEN,
            Self::Api => keys::APIS_SEEN,
        }
    }
}

impl Store {
    /// Notes that the process `<host>-<pid>...` is at work now, and how wrong the clock of its
    /// machine is.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn heartbeat(&self, role: Role, process: &str) -> Result<(), StoreError> {
        let mut step = HEARTBEAT.key(role.key());
        step.key(keys::SKEW).arg(process).arg(format!("{:.3}", self.clock.skew()));
        step.arg(FORGET_AFTER_SECONDS);
        let noted = step.invoke_async::<u64>(&mut self.connection.clone()).await;
        noted.map_err(super::failed("note a heartbeat")).map(|_| ())
    }

    /// For how many seconds the processes of the role on this host have been silent, all of them;
    /// `None` if there are none.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn silence(&self, role: Role, host: &str) -> Result<Option<i64>, StoreError> {
        let mut step = pipe();
        step.cmd("TIME").cmd("ZRANGE").arg(role.key()).arg(0).arg(-1).arg("WITHSCORES");
        let connection = &mut self.connection.clone();
        let answered = step.query_async::<((i64, i64), Vec<(String, i64)>)>(connection);
        let ((now, _), processes) = answer("look for heartbeats", answered).await?;
        let of_host = |name: &str| name.rsplit_once('-').is_some_and(|(name, _)| name == host);
        let seen = processes.into_iter().filter(|(name, _)| of_host(name)).map(|(_, at)| at).max();
        Ok(seen.map(|at| now - at))
    }
}
