//! Slots that Redis has lost. A replica that takes over may lack the last jobs, samples and reasons, and so
//! does a server that is started again without all of its data: the slots of these had neither a sample nor
//! a reason then.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    domain::{Reason, Slot, Slots},
    store::{Store, StoreError},
};

/// How often the server is compared with the one before.
const EVERY: Duration = Duration::from_secs(1);
/// How long jobs that are at work may take to record their sample or reason on the new server.
const GRACE: Duration = Duration::from_secs(10);
/// The seconds after it in which other processes may still have written to the old server.
const LOOK_AHEAD: i64 = 5;
/// The seconds before the change that are looked at: what a replica may lack, and what a server that was
/// started again may have lost, which has changes that were not on its disk.
const LOOK_BACK: i64 = 60;
const LOOK_BACK_FAR: i64 = 3600;
/// The slots that are noted at once.
const CHUNK: usize = 500;

/// Gives, for ever, a reason to slots whose data was lost when another server took over.
pub(super) async fn note(store: &Store, slots: Slots) {
    store.clock().synchronized().await;
    let started = store.clock().unix_seconds();
    let mut last_seen = started;
    let mut known: Option<(String, u64)> = None;
    // When it was noticed, and the first and the last second that are looked at.
    let mut changed: Option<(Instant, i64, i64)> = None;
    loop {
        sleep(EVERY).await;
        let Ok(now) = state(store).await else { continue };
        if let Some(before) = known.filter(|(run, _)| *run != now.0) {
            tracing::debug!(run = now.0, "another server has taken over, or it was started again");
            let back = if now.1 < before.1 { LOOK_BACK_FAR } else { LOOK_BACK };
            let second = store.clock().unix_seconds();
            let first = started.max(last_seen - back);
            let first = changed.map_or(first, |(_, earlier, _)| first.min(earlier));
            changed = Some((Instant::now(), first, second + LOOK_AHEAD));
        }
        last_seen = store.clock().unix_seconds();
        known = Some(now);
        let due = changed.filter(|(at, ..)| at.elapsed() >= GRACE);
        let Some((_, first, last)) = due else { continue };
        let lost: Vec<i64> =
            std::iter::successors(Some(slots.containing(first)), |it| Some(it.next()))
                .take_while(|slot| slot.end() <= last)
                .map(Slot::start)
                .collect();
        let noted = async {
            for chunk in lost.chunks(CHUNK) {
                store.miss(chunk, Reason::RedisAway).await?;
            }
            Ok::<(), StoreError>(())
        };
        match noted.await {
            Ok(()) => changed = None,
            Err(error) => tracing::debug!(%error, "cannot note yet which slots were lost"),
        }
    }
}

/// Which runs of the servers these are, and how many changes there are.
async fn state(store: &Store) -> Result<(String, u64), StoreError> {
    let run = store.server_runs().await?;
    Ok((run, store.counts().await?.position.number))
}
