//! A worker's sign of life, given by ourselves.
//!
//! apalis gives its own only between looks into the queue, so a worker that drains or is busy
//! would be taken for dead and its jobs given to others.

use std::time::Duration;

use redis::RedisResult;
use tokio::time::{MissedTickBehavior, interval};

use crate::{clock, connection::SharedConnection};

/// Renews the worker's time in the set of workers for ever, every `period`. A worker that is not
/// in the set stays out of it: joining is apalis's business.
pub(super) async fn beat(
    connection: SharedConnection,
    workers_key: &str,
    worker: &str,
    period: Duration,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) =
            renew(connection.clone(), workers_key, worker, clock::unix_seconds()).await
        {
            tracing::debug!(%error, worker, "no sign of life given");
        }
    }
}

/// Tells the other workers that this one is gone, so that they take over its jobs at their next
/// heartbeat and not only when its silence has been noticed.
pub(super) async fn resign(connection: SharedConnection, workers_key: &str, worker: &str) {
    if let Err(error) = renew(connection, workers_key, worker, 0).await {
        tracing::debug!(%error, worker, "could not resign; its silence will be noticed");
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
