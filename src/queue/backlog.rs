//! The waiting jobs of a queue. Some of them would end or block its workers: those without data, and
//! those beyond the number that the library can unpack.

use std::sync::LazyLock;

use apalis_redis::Config;
use redis::{RedisResult, Script, ScriptInvocation};

use super::{report::JobState, settings};
use crate::connection::SharedConnection;

static PROMOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("promote.lua")));
static DROP_UNREADABLE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("drop_unreadable.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("remove_jobs.lua")));

/// The largest number of waiting jobs. apalis blocks at 8,000; a job is too late long before that.
const MAX_WAITING: usize = 1000;

/// The jobs that have to leave a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cleaned {
    /// The number of jobs without data or metadata. They have been removed.
    pub(super) unreadable: u64,
    /// The ids and payloads of the oldest jobs beyond [`MAX_WAITING`]. They have not been removed yet, see
    /// [`remove_waiting`].
    pub(super) excess: Vec<(String, Vec<u8>)>,
}

/// Moves all scheduled jobs of the queue to its active jobs.
pub(super) async fn promote(
    connection: &mut SharedConnection,
    settings: &Config,
) -> RedisResult<()> {
    let (scheduled, active) = (settings.scheduled_jobs_set(), settings.active_jobs_list());
    let mut promote = PROMOTE.key(scheduled);
    promote.key(active).key(settings::pause_key(settings)).key(settings::held_list(settings));
    promote.arg(settings.job_meta_hash());
    promote.invoke_async::<u64>(connection).await.map(drop)
}

/// Removes the jobs that no worker can read, and finds those that are too many.
pub(super) async fn drop_unreadable(
    mut connection: SharedConnection,
    settings: &Config,
) -> RedisResult<Cleaned> {
    promote(&mut connection, settings).await?;
    let mut cleaned = Cleaned::default();
    loop {
        let (unreadable, excess): (u64, Vec<(String, Vec<u8>)>) = DROP_UNREADABLE
            .key(settings.active_jobs_list())
            .key(settings.job_data_hash())
            .arg(settings.job_meta_hash())
            .arg(MAX_WAITING)
            .invoke_async(&mut connection)
            .await?;
        cleaned.unreadable += unreadable;
        cleaned.excess = excess;
        if unreadable == 0 {
            return Ok(cleaned);
        }
    }
}

/// Removes waiting jobs. Returns the number of jobs that were removed.
pub(super) async fn remove_waiting(
    mut connection: SharedConnection,
    settings: &Config,
    ids: &[&str],
) -> RedisResult<usize> {
    let removed: Vec<Vec<u8>> =
        removal(settings, JobState::Waiting, ids).invoke_async(&mut connection).await?;
    Ok(removed.len())
}

/// The request that removes those of the jobs that are in the state.
pub(super) fn removal<'a>(
    settings: &Config,
    state: JobState,
    ids: &[&str],
) -> ScriptInvocation<'a> {
    let mut remove = REMOVE.key(settings.active_jobs_list());
    remove.key(settings.scheduled_jobs_set()).key(settings.done_jobs_set());
    remove.key(settings.dead_jobs_set()).key(settings.job_data_hash());
    remove.key(settings::held_list(settings));
    remove.arg(settings.job_meta_hash()).arg(u8::from(state == JobState::Waiting)).arg(ids);
    remove
}
