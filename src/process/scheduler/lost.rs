//! Slots that Redis has lost. A replica that takes over may lack the last jobs, samples and reasons, and so
//! does a server that is started again without all of its data: the slots of these had neither a sample nor
//! a reason then.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    domain::{Reason, Slot, Slots},
    store::Store,
};

/// How often the server is compared with the one before.
const EVERY: Duration = Duration::from_secs(1);
/// How long jobs that are at work may take to record their sample or reason on the new server.
const GRACE: Duration = Duration::from_secs(10);
/// The seconds after it in which other processes may still have written to the old server.
const LOOK_AHEAD: i64 = 5;
/// The seconds before the change that are looked at: a server may have had snapshots alone.
const LOOK_BACK: i64 = 3600;
/// The slots that are noted at once.
const CHUNK: usize = 500;

/// Notes for ever that slots were missed whose data was lost when another server took over.
pub(super) async fn note(store: &Store, slots: Slots) {
    store.clock().synchronized().await;
    let started = store.clock().unix_seconds();
    let (mut known, mut changed): (Option<String>, Option<(Instant, i64)>) = (None, None);
    loop {
        sleep(EVERY).await;
        let Ok(Some(run)) = store.server_run().await else { continue };
        if known.as_ref().is_some_and(|known| *known != run) {
            tracing::debug!(run, "another server has taken over, or it was started again");
            changed = Some((Instant::now(), store.clock().unix_seconds()));
        }
        known = Some(run);
        let Some((at, second)) = changed.filter(|(at, _)| at.elapsed() >= GRACE) else { continue };
        let first = started.max(second - LOOK_BACK);
        let lost: Vec<i64> =
            std::iter::successors(Some(slots.containing(first)), |it| Some(it.next()))
                .take_while(|slot| slot.end() <= second + LOOK_AHEAD)
                .map(Slot::start)
                .collect();
        let noted = async {
            for chunk in lost.chunks(CHUNK) {
                store.miss(chunk, Reason::RedisAway).await?;
            }
            Ok::<(), crate::store::StoreError>(())
        };
        match noted.await {
            // Unless it has changed again meanwhile.
            Ok(()) => changed = changed.filter(|(latest, _)| *latest != at),
            Err(error) => tracing::debug!(%error, "cannot note yet which slots were lost"),
        }
    }
}
