//! Keeps a queue within its bounds: forgets finished jobs, takes out what would
//! stop its workers.

use std::sync::LazyLock;

use apalis_redis::Config;
use redis::{RedisResult, Script, ScriptInvocation, cmd};

use super::{report::JobState, settings};
use crate::{config, connection::SharedConnection};

static PROMOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("promote.lua")));
static MEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mend.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("remove.lua")));
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
    /// The oldest jobs of a backlog, with their payloads. They are still there: see [`drop_jobs`].
    pub(super) excess: Vec<(String, Vec<u8>)>,
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

/// Takes out jobs that would stop the workers of the queue, and finds those that are too many.
pub(super) async fn mend(
    mut connection: SharedConnection,
    settings: &Config,
) -> RedisResult<Mended> {
    promote(&mut connection, settings).await?;
    let mut mended = Mended::default();
    loop {
        let (unreadable, excess): (u64, Vec<(String, Vec<u8>)>) = MEND
            .key(settings.active_jobs_list())
            .key(settings.job_data_hash())
            .arg(settings.job_meta_hash())
            .arg(BACKLOG)
            .invoke_async(&mut connection)
            .await?;
        mended.unreadable += unreadable;
        mended.excess = excess;
        if unreadable == 0 {
            return Ok(mended);
        }
    }
}

/// Removes jobs that wait. Gives how many they were.
pub(super) async fn drop_jobs(
    mut connection: SharedConnection,
    settings: &Config,
    ids: &[&str],
) -> RedisResult<usize> {
    let removed: Vec<Vec<u8>> =
        removal(settings, JobState::Waiting, ids).invoke_async(&mut connection).await?;
    Ok(removed.len())
}

/// The step that removes those of the jobs that are in a state.
pub(super) fn removal<'a>(
    settings: &Config,
    state: JobState,
    ids: &[&str],
) -> ScriptInvocation<'a> {
    let mut remove = REMOVE.key(settings.active_jobs_list());
    remove.key(settings.scheduled_jobs_set()).key(settings.done_jobs_set());
    remove.key(settings.dead_jobs_set()).key(settings.job_data_hash());
    remove.key(settings::held(settings));
    remove.arg(settings.job_meta_hash()).arg(u8::from(state == JobState::Waiting)).arg(ids);
    remove
}

/// Forgets finished jobs after `queue.keep_done` and `queue.keep_dead`. Gives how many they were.
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
    Ok(forgotten)
}
