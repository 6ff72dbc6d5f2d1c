//! Slots whose data Redis has lost. A replica that takes over may lack the last jobs, samples and reasons,
//! and so may a server that was restarted without all of its data. Without this module, these slots would
//! have neither a sample nor a reason. Depends on the domain and the store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    domain::{MissedReason, Slot, Slots},
    store::{Store, StoreError},
};

/// How often to check whether the server has changed.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long running jobs may take to record their sample or reason on the new server.
const GRACE: Duration = Duration::from_secs(10);
/// The seconds after the change in which other processes may still have written to the old server.
const LOOK_AHEAD: i64 = 5;
/// The seconds before the change whose data a replica may lack.
const LOOK_BACK: i64 = 60;
/// The seconds before the change that are checked if the new server has fewer changes than the old one: it
/// may be a restarted server that had not written its latest data to the disk.
const LOOK_BACK_FAR: i64 = 3600;
/// The number of slots per request.
const CHUNK: usize = 500;

/// Records a reason for slots whose data was lost in a change of the server. Never returns.
pub(super) async fn record(store: &Store, slots: Slots) {
    store.clock().synchronized().await;
    let started = store.clock().unix_seconds();
    let mut last_seen = started;
    let mut last_state: Option<(String, u64)> = None;
    // When a change was noticed, and the first and the last second to check.
    let mut changed: Option<(Instant, i64, i64)> = None;
    loop {
        sleep(CHECK_EVERY).await;
        let Ok(state) = server_state(store).await else { continue };
        if let Some(before) = last_state.filter(|(run, _)| *run != state.0) {
            tracing::debug!(run = state.0, "the Redis server was replaced or restarted");
            let back = if state.1 < before.1 { LOOK_BACK_FAR } else { LOOK_BACK };
            let second = store.clock().unix_seconds();
            let first = started.max(last_seen - back);
            let first = changed.map_or(first, |(_, earlier, _)| first.min(earlier));
            changed = Some((Instant::now(), first, second + LOOK_AHEAD));
        }
        last_seen = store.clock().unix_seconds();
        last_state = Some(state);
        let due = changed.filter(|(at, ..)| at.elapsed() >= GRACE);
        let Some((_, first, last)) = due else { continue };
        let lost: Vec<i64> =
            std::iter::successors(Some(slots.containing(first)), |it| Some(it.next()))
                .take_while(|slot| slot.end() <= last)
                .map(Slot::start)
                .collect();
        let recorded = async {
            for chunk in lost.chunks(CHUNK) {
                store.record_missed(chunk, MissedReason::RedisAway).await?;
            }
            Ok::<(), StoreError>(())
        };
        match recorded.await {
            Ok(()) => changed = None,
            Err(error) => tracing::debug!(%error, "cannot record which slots were lost; retrying"),
        }
    }
}

/// Returns the ids of the current runs of the servers, and the number of changes.
async fn server_state(store: &Store) -> Result<(String, u64), StoreError> {
    let run = store.server_runs().await?;
    Ok((run, store.counts().await?.position.number))
}
