//! The heartbeats of workers, and orphaned jobs: those of workers that have stopped sending heartbeats.
//!
//! apalis has heartbeats of its own, which are switched off: it sends them only between two polls, so
//! that a worker that drains or is busy counts as dead; and it compares the clocks of different machines,
//! so that one wrong clock disturbs all workers. These go by the clock of Redis.

use std::{sync::LazyLock, time::Duration};

use apalis_redis::Config;
use redis::{RedisResult, Script};
use tokio::time::sleep;

use super::settings::{self, heartbeats_key};
use crate::{config, connection::SharedConnection};

/// How often a worker checks whether apalis has registered it, until it has.
const UNTIL_REGISTERED: Duration = Duration::from_millis(50);

/// How often a worker looks for jobs that it was assigned and has not started. A job is requeued at the
/// second look: at the first one, it may be on its way.
const REQUEUE_EVERY: Duration = Duration::from_secs(3);

static HEARTBEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("heartbeat.lua")));
static REQUEUE_UNSTARTED: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("requeue_unstarted.lua")));
static DROP_UNREADABLE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("drop_unreadable_in_flight.lua")));

/// Sends heartbeats of a worker, two in each `queue.heartbeat`, and requeues orphaned jobs. Never returns.
/// A worker that is not registered stays so: apalis registers workers.
pub(super) async fn send_heartbeats(
    mut connection: SharedConnection,
    settings: Config,
    worker: String,
    queue: config::Queue,
) {
    loop {
        let registered = send_heartbeat(&mut connection, &settings, &worker, &queue).await;
        if let Err(error) = &registered {
            tracing::debug!(%error, worker, "cannot send a heartbeat");
        }
        let period = queue.heartbeat / 2;
        sleep(if let Ok(false) = registered { UNTIL_REGISTERED } else { period }).await;
    }
}

/// Returns whether the worker is registered.
async fn send_heartbeat(
    connection: &mut SharedConnection,
    settings: &Config,
    worker: &str,
    queue: &config::Queue,
) -> RedisResult<bool> {
    let mut step = HEARTBEAT.key(heartbeats_key(settings));
    step.key(settings.workers_set())
        .key(settings.active_jobs_list())
        .key(settings::pause_key(settings));
    step.key(settings::held_list(settings));
    step.arg(worker).arg(u64::try_from(queue.silence().as_millis()).unwrap_or(u64::MAX));
    step.arg(settings.inflight_jobs_set()).arg(settings::worker_metadata(settings));
    let (registered, mut dead): (bool, Vec<String>) = step.invoke_async(connection).await?;
    // Earlier generations of this worker are not worth a warning.
    let process = |name: &str| name.rsplit_once('-').map(|(process, _)| process.to_owned());
    dead.retain(|name| process(name) != process(worker));
    if !dead.is_empty() {
        let (queue, dead) = (settings.queue.as_ref(), dead.join(", "));
        tracing::warn!(queue, dead, "workers send no heartbeats; requeued their jobs");
    }
    Ok(registered)
}

/// Requeues jobs that were assigned to this worker without its knowledge. Never returns. That happens only
/// in a cluster: its client sends a request for jobs again when the answer is lost.
pub(super) async fn requeue_unstarted(
    mut connection: SharedConnection,
    settings: Config,
    worker: String,
) {
    let mut unstarted: Vec<String> = Vec::new();
    loop {
        sleep(REQUEUE_EVERY).await;
        let mut step = REQUEUE_UNSTARTED.key(format!("{}:{worker}", settings.inflight_jobs_set()));
        step.key(settings.active_jobs_list()).arg(settings.job_meta_hash()).arg(&worker);
        step.arg(&unstarted);
        match step.invoke_async(&mut connection).await {
            Ok(now) => unstarted = now,
            Err(error) => tracing::debug!(%error, worker, "cannot look for unstarted jobs"),
        }
    }
}

/// Removes a worker that ends, which apalis does not do. If it still has jobs, its last heartbeat is set to
/// 0 instead, so that another worker requeues them at its next heartbeat.
pub(super) async fn deregister(mut connection: SharedConnection, settings: &Config, worker: &str) {
    let worker_jobs = format!("{}:{worker}", settings.inflight_jobs_set());
    let removed: RedisResult<()> = async {
        let mut step = DROP_UNREADABLE.key(worker_jobs);
        step.key(settings.job_data_hash()).arg(settings.job_meta_hash());
        let jobs: u64 = step.invoke_async(&mut connection).await?;
        if jobs > 0 {
            let mut silence = redis::cmd("ZADD");
            silence.arg(heartbeats_key(settings)).arg("XX").arg(0).arg(worker);
            return silence.query_async(&mut connection).await;
        }
        let metadata = format!("{}{worker}", settings::worker_metadata(settings));
        redis::pipe()
            .zrem(settings.workers_set(), worker)
            .zrem(heartbeats_key(settings), worker)
            .unlink(metadata)
            .query_async(&mut connection)
            .await
    }
    .await;
    if let Err(error) = removed {
        tracing::debug!(%error, worker, "cannot remove a worker; its heartbeats expire instead");
    }
}
