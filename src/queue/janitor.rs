//! The janitor: removes finished jobs after `queue.keep_done` and `queue.keep_dead`.

use std::{sync::LazyLock, time::Duration};

use apalis_redis::Config;
use redis::{RedisResult, Script, cmd};

use super::settings;
use crate::{
    config,
    connection::{Server, SharedConnection},
};

static PURGE_FINISHED: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("purge_finished.lua")));

/// The queue whose key `<queue>:running` (STRING) is the lock. It expires if its owner crashes.
const LOCKED: &str = "housekeeping";
const LOCK_SECONDS: u64 = 10;
/// The number of jobs per request, so that Redis is never blocked for long.
const BATCH: usize = 500;

/// Removes finished jobs from the queues of the given names.
#[derive(Debug, Clone)]
pub struct Janitor {
    connection: SharedConnection,
    queues: Vec<&'static str>,
    config: config::Queue,
}

impl Janitor {
    /// A janitor of the given queues.
    pub fn new(server: &Server, queues: Vec<&'static str>, config: &config::Queue) -> Self {
        Self { connection: server.shared(), queues, config: config.clone() }
    }

    /// Removes finished jobs that are old enough. Returns their number; 0 if another process is doing it.
    ///
    /// # Errors
    /// Returns an error if Redis fails; the next call removes the rest.
    pub async fn purge_finished(&self) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let key = settings::janitor_lock(&settings::for_queue(&connection, LOCKED).await?);
        let mut lock = cmd("SET");
        lock.arg(&key).arg(1).arg("NX").arg("EX").arg(LOCK_SECONDS);
        match lock.query_async::<bool>(&mut connection).await {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            // A full Redis can still delete. Two janitors at once only duplicate the work.
            Err(error) if error.code() == Some("OOM") => {}
            Err(error) => return Err(error),
        }
        let mut purged = 0;
        for queue in &self.queues {
            let settings = settings::for_queue(&connection, queue).await?;
            let (done, dead) = (settings.done_jobs_set(), settings.dead_jobs_set());
            purged += self.purge(&settings, &done, self.config.keep_done).await?;
            purged += self.purge(&settings, &dead, self.config.keep_dead).await?;
        }
        cmd("DEL").arg(key).query_async::<()>(&mut connection).await?;
        Ok(purged)
    }

    /// Removes the jobs of a set that have finished longer than `keep` ago. Returns their number.
    async fn purge(&self, settings: &Config, set: &str, keep: Duration) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let (mut cursor, mut purged) = (0_u64, 0);
        loop {
            let mut scan = cmd("SSCAN");
            scan.arg(set).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, ids): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
            let mut step = PURGE_FINISHED.key(set);
            step.key(settings.job_data_hash()).arg(settings.job_meta_hash());
            step.arg(keep.as_secs()).arg(ids);
            purged += step.invoke_async::<u64>(&mut connection).await?;
            cursor = next;
            if cursor == 0 {
                return Ok(purged);
            }
        }
    }
}
