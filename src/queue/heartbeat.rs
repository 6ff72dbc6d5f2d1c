//! The heartbeats of workers, and the jobs of workers that are dead.
//!
//! apalis has its own, which are switched off: it gives them only between two looks into the queue,
//! so that a worker that drains or is busy would be taken for dead; and it compares the clocks of
//! machines, so that one wrong clock would disturb all workers. These go by the clock of Redis.

use std::{sync::LazyLock, time::Duration};

use apalis_redis::Config;
use redis::{RedisResult, Script};
use tokio::time::sleep;

use super::settings::{self, alive_set};
use crate::{config, connection::SharedConnection};

/// How often a worker that apalis has not registered yet looks whether it is.
const UNTIL_REGISTERED: Duration = Duration::from_millis(50);

/// How often a worker looks for jobs that it was given and has not begun. One look is not enough: they may be
/// on their way to it.
const RECLAIM_EVERY: Duration = Duration::from_secs(3);

static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));
static RECLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reclaim.lua")));
static DISOWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("disown.lua")));

/// Gives heartbeats of a worker for ever, twice in each `queue.heartbeat`, and the jobs of workers
/// that are silent to others. A worker that is not registered stays so: that is apalis's business.
pub(super) async fn beat(
    mut connection: SharedConnection,
    settings: Config,
    worker: String,
    queue: config::Queue,
) {
    loop {
        let beaten = beat_once(&mut connection, &settings, &worker, &queue).await;
        if let Err(error) = &beaten {
            tracing::debug!(%error, worker, "no heartbeat given");
        }
        let period = queue.heartbeat / 2;
        sleep(if let Ok(false) = beaten { UNTIL_REGISTERED } else { period }).await;
    }
}

/// Gives whether the worker is registered.
async fn beat_once(
    connection: &mut SharedConnection,
    settings: &Config,
    worker: &str,
    queue: &config::Queue,
) -> RedisResult<bool> {
    let mut beat = BEAT.key(alive_set(settings));
    beat.key(settings.workers_set())
        .key(settings.active_jobs_list())
        .key(settings::pause(settings));
    beat.key(settings::held(settings));
    beat.arg(worker).arg(u64::try_from(queue.silence().as_millis()).unwrap_or(u64::MAX));
    beat.arg(settings.inflight_jobs_set()).arg(settings::worker_metadata(settings));
    let (registered, mut dead): (bool, Vec<String>) = beat.invoke_async(connection).await?;
    // An earlier generation of this worker was given up by this worker itself.
    let process = |name: &str| name.rsplit_once('-').map(|(process, _)| process.to_owned());
    dead.retain(|name| process(name) != process(worker));
    if !dead.is_empty() {
        let (queue, dead) = (settings.queue.as_ref(), dead.join(", "));
        tracing::warn!(queue, dead, "workers are silent; their jobs are given to others");
    }
    Ok(registered)
}

/// Gives jobs to others for ever that this worker was given and does not know of. That happens in a cluster
/// alone: its client asks again for jobs when the answer was lost.
pub(super) async fn reclaim(mut connection: SharedConnection, settings: Config, worker: String) {
    let mut unknown: Vec<String> = Vec::new();
    loop {
        sleep(RECLAIM_EVERY).await;
        let mut step = RECLAIM.key(format!("{}:{worker}", settings.inflight_jobs_set()));
        step.key(settings.active_jobs_list()).arg(settings.job_meta_hash()).arg(&worker);
        step.arg(&unknown);
        match step.invoke_async(&mut connection).await {
            Ok(now) => unknown = now,
            Err(error) => tracing::debug!(%error, worker, "not looked for lost jobs"),
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
            let mut silence = redis::cmd("ZADD");
            silence.arg(alive_set(settings)).arg("XX").arg(0).arg(worker);
            return silence.query_async(&mut connection).await;
        }
        let metadata = format!("{}{worker}", settings::worker_metadata(settings));
        redis::pipe()
            .zrem(settings.workers_set(), worker)
            .zrem(alive_set(settings), worker)
            .unlink(metadata)
            .query_async(&mut connection)
            .await
    }
    .await;
    if let Err(error) = left {
        tracing::debug!(%error, worker, "could not take leave; its silence will be noticed");
    }
}
