//! A worker's sign of life, given by ourselves.
//!
//! apalis gives its own only between looks into the queue, so a worker that drains or is busy
//! would be taken for dead and its jobs given to others.

use std::{sync::LazyLock, time::Duration};

use apalis_redis::Config;
use redis::{RedisResult, Script};
use tokio::time::{MissedTickBehavior, interval};

use crate::{clock, connection::SharedConnection};

static DISOWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("disown.lua")));

/// Renews the worker's time in the set of workers for ever, every `period`. A worker that is not
/// in the set stays out of it: joining is apalis's business.
pub(super) async fn beat(
    connection: SharedConnection,
    workers_key: String,
    worker: String,
    period: Duration,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) =
            renew(connection.clone(), &workers_key, &worker, clock::unix_seconds()).await
        {
            tracing::debug!(%error, worker, "no sign of life given");
        }
    }
}

/// Takes leave of the other workers. One that handed everything back is forgotten, which apalis
/// means to do and does not; of one that did not, the others take over the jobs at their next
/// heartbeat and not only when its silence has been noticed.
pub(super) async fn leave(mut connection: SharedConnection, settings: &Config, worker: &str) {
    let worker_jobs = format!("{}:{worker}", settings.inflight_jobs_set());
    let left: RedisResult<()> = async {
        let mut disown = DISOWN.key(worker_jobs);
        disown.key(settings.job_data_hash()).arg(settings.job_meta_hash());
        let jobs: u64 = disown.invoke_async(&mut connection).await?;
        if jobs > 0 {
            return renew(connection.clone(), &settings.workers_set(), worker, 0).await;
        }
        let metadata = format!("{}:workers:metadata:{worker}", settings.queue.as_ref());
        redis::pipe()
            .zrem(settings.workers_set(), worker)
            .unlink(metadata)
            .query_async(&mut connection)
            .await
    }
    .await;
    if let Err(error) = left {
        tracing::debug!(%error, worker, "could not take leave; its silence will be noticed");
    }
}

async fn renew(
    mut connection: SharedConnection,
    workers_key: &str,
    worker: &str,
    second: i64,
) -> RedisResult<()> {
    redis::cmd("ZADD")
        .arg(workers_key)
        .arg("XX")
        .arg(second)
        .arg(worker)
        .query_async(&mut connection)
        .await
}
