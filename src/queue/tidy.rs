//! Keeps a queue within its bounds: forgets finished jobs and gone workers, takes out what would
//! stop its workers.

use std::sync::LazyLock;

use apalis_redis::Config;
use redis::{RedisResult, Script, cmd};

use super::settings;
use crate::{config, connection::SharedConnection};

static PROMOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("promote.lua")));
static MEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mend.lua")));
static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget.lua")));

/// How many jobs may wait. The library wedges at 8,000; ours are stale long before that.
const BACKLOG: usize = 1000;
/// How many ids one call looks at, so that Redis is never held up for long.
const PIECE: usize = 500;

/// What was taken out of a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// Ids without data or metadata.
    pub(super) unreadable: u64,
    /// The payloads of the oldest jobs of a backlog.
    pub(super) dropped: Vec<Vec<u8>>,
}

/// Makes all jobs of the queue ready to be taken.
pub(super) async fn promote(
    connection: &mut SharedConnection,
    settings: &Config,
) -> RedisResult<()> {
    let (scheduled, active) = (settings.scheduled_jobs_set(), settings.active_jobs_list());
    let mut promote = PROMOTE.key(scheduled);
    promote.key(active).key(settings::pause(settings)).key(settings::held(settings));
    promote.arg(settings.job_meta_hash());
    promote.invoke_async::<u64>(connection).await.map(|_| ())
}

/// Takes out what would stop the workers of the queue.
pub(super) async fn mend(
    mut connection: SharedConnection,
    settings: &Config,
) -> RedisResult<Mended> {
    promote(&mut connection, settings).await?;
    let mut mended = Mended::default();
    loop {
        let (unreadable, dropped): (u64, Vec<Option<Vec<u8>>>) = MEND
            .key(settings.active_jobs_list())
            .key(settings.job_data_hash())
            .arg(settings.job_meta_hash())
            .arg(BACKLOG)
            .arg(BACKLOG)
            .invoke_async(&mut connection)
            .await?;
        let done = unreadable == 0 && dropped.is_empty();
        mended.unreadable += unreadable;
        mended.dropped.extend(dropped.into_iter().flatten());
        if done {
            return Ok(mended);
        }
    }
}

/// Forgets what the queue has done with: finished jobs after `queue.keep_done` and
/// `queue.keep_dead`, and the names of workers that are gone. Gives how much that was.
pub(super) async fn forget(
    mut connection: SharedConnection,
    settings: &Config,
    queue: &config::Queue,
) -> RedisResult<u64> {
    let mut forgotten = 0;
    for (set, keep) in
        [(settings.done_jobs_set(), queue.keep_done), (settings.dead_jobs_set(), queue.keep_dead)]
    {
        let mut cursor = 0_u64;
        loop {
            let (next, ids): (u64, Vec<String>) = cmd("SSCAN")
                .arg(&set)
                .arg(cursor)
                .arg("COUNT")
                .arg(PIECE)
                .query_async(&mut connection)
                .await?;
            let mut look = FORGET.key(&set);
            look.key(settings.job_data_hash()).arg(settings.job_meta_hash());
            look.arg(keep.as_secs()).arg(ids);
            forgotten += look.invoke_async::<u64>(&mut connection).await?;
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(forgotten + forget_workers(connection, settings).await?)
}

/// Forgets the names of workers that are no longer in the set of workers.
async fn forget_workers(mut connection: SharedConnection, settings: &Config) -> RedisResult<u64> {
    let prefix = format!("{}:workers:metadata:", settings.queue.as_ref());
    let (mut cursor, mut forgotten) = (0_u64, 0);
    loop {
        let (next, names): (u64, Vec<String>) = cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(PIECE)
            .query_async(&mut connection)
            .await?;
        for key in names {
            let name = key.strip_prefix(&prefix).unwrap_or_default();
            let alive: Option<f64> = cmd("ZSCORE")
                .arg(settings.workers_set())
                .arg(name)
                .query_async(&mut connection)
                .await?;
            if alive.is_none() {
                forgotten += cmd("UNLINK").arg(&key).query_async::<u64>(&mut connection).await?;
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(forgotten);
        }
    }
}
