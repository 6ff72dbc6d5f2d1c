//! Who has lately done its work, so that a health check can ask from outside the process.

use redis::{RedisResult, pipe};

use super::{Store, StoreError, failed, keys};

/// A kind of process that has no port to be asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Enqueues a job a slot.
    Scheduler,
    /// Runs jobs.
    Worker,
}

/// Names not seen for this many seconds are forgotten.
const FORGET_AFTER_SECONDS: i64 = 3600;

impl Role {
    fn key(self) -> &'static str {
        match self {
            Self::Scheduler => keys::SCHEDULERS_SEEN,
            Self::Worker => keys::WORKERS_SEEN,
        }
    }
}

impl Store {
    /// Notes that the process `<host>-<pid>...` was at work at the given unix second.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn seen(&self, role: Role, process: &str, now: i64) -> Result<(), StoreError> {
        let noted: RedisResult<()> = pipe()
            .zadd(role.key(), process, now)
            .ignore()
            .zrembyscore(role.key(), "-inf", now - FORGET_AFTER_SECONDS)
            .ignore()
            .query_async(&mut self.connection.clone())
            .await;
        noted.map_err(failed("note a sign of life"))
    }

    /// The current unix second by the clock of Redis.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn now(&self) -> Result<i64, StoreError> {
        let now: RedisResult<(i64, i64)> =
            redis::cmd("TIME").query_async(&mut self.connection.clone()).await;
        now.map_err(failed("ask Redis for the time")).map(|(second, _)| second)
    }

    /// The unix second at which a process of the role on this host was last at work.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn last_seen(&self, role: Role, host: &str) -> Result<Option<i64>, StoreError> {
        let processes: RedisResult<Vec<(String, i64)>> = redis::cmd("ZRANGE")
            .arg(role.key())
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES")
            .query_async(&mut self.connection.clone())
            .await;
        let of_host = |name: &str| name.rsplit_once('-').is_some_and(|(name, _)| name == host);
        Ok(processes
            .map_err(failed("look for signs of life"))?
            .into_iter()
            .filter(|(name, _)| of_host(name))
            .map(|(_, second)| second)
            .max())
    }
}
