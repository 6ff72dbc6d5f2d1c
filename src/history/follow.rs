//! Keeping the index equal to Redis.
//!
//! A follower reads the stream of changes. Once a second it also compares counts, which finds what
//! was changed without a message: by hand, or by an old stack that still runs. It loads everything
//! again if it has missed a message.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    FRESH, History, HistoryError,
    index::{Columns, Entry, Index, Node},
    load,
};
use crate::{
    connection,
    domain::{Observation, Timestamp},
    store::{Change, Changes, Hour, Position, hour_of},
};

/// How long a read of changes waits for one.
const WAIT: Duration = Duration::from_millis(500);
/// How often counts are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// How far a history has followed.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// `None` if everything must be loaded.
    position: Option<Position>,
    changes: Option<Changes>,
    /// The server that the position is of.
    server: String,
    compared: Option<Instant>,
    /// The score of the newest member at the last comparison.
    newest: Option<f64>,
    /// The position at the last comparison, if there were changes after it that had not come.
    behind: Option<u64>,
}

impl History {
    /// Loads everything and keeps it equal to Redis, for ever: it lags by one message at most.
    pub async fn follow(&self) {
        let mut is_reported = false;
        loop {
            match self.step(WAIT).await {
                Ok(()) if is_reported => {
                    tracing::info!("following the recorded prices again");
                    is_reported = false;
                }
                Ok(()) => {}
                Err(error) => {
                    // That Redis is away is reported by the follower of its clock.
                    if is_reported || connection::is_away(&error) {
                        tracing::debug!(%error, "cannot follow the recorded prices; trying again");
                    } else {
                        tracing::warn!(%error, "cannot follow the recorded prices; trying again");
                        is_reported = true;
                    }
                    self.follower.lock().await.changes = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes in all changes so far; loads everything if that has not been done yet.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn refresh(&self) -> Result<(), HistoryError> {
        self.follower.lock().await.compared = None;
        let first = self.step(Duration::ZERO).await;
        if first.is_err() {
            // A connection that was closed meanwhile shows it only when it is used.
            self.follower.lock().await.changes = None;
            return self.step(Duration::ZERO).await;
        }
        first
    }

    /// Reads changes once, waiting up to `wait` for the first one; compares counts when it is time.
    async fn step(&self, wait: Duration) -> Result<(), HistoryError> {
        let follower = &mut *self.follower.lock().await;
        if follower.changes.is_none() {
            let changes = self.store().changes().await?;
            if follower.server != changes.server {
                // Another server, or another run of it, may not have all that we were told.
                follower.position = None;
                follower.server.clone_from(&changes.server);
            }
            follower.changes = Some(changes);
            follower.compared = None;
        }
        let Some(mut position) = follower.position.clone() else {
            return self.load(follower).await;
        };
        let Some(changes) = &mut follower.changes else { return Ok(()) };
        let mut wait = if follower.compared.is_none() { Duration::ZERO } else { wait };
        loop {
            let Some((found, next)) = changes.after(&position, wait).await? else {
                tracing::warn!("missed changes of the recorded prices; loading all of them again");
                return self.load(follower).await;
            };
            let is_last = found.is_empty() || !wait.is_zero();
            if found.contains(&Change::Everything) {
                return self.load(follower).await;
            }
            let is_change = !found.is_empty();
            self.apply(found).await?;
            if is_change {
                self.changed.send_replace(());
            }
            position = next;
            follower.position = Some(position.clone());
            if is_last {
                break;
            }
            wait = Duration::ZERO;
        }
        if follower.compared.is_none_or(|at| at.elapsed() >= COMPARE_EVERY) {
            self.compare(follower, &position).await?;
        }
        self.note_contact();
        Ok(())
    }

    /// Loads everything.
    async fn load(&self, follower: &mut Follower) -> Result<(), HistoryError> {
        follower.position = None;
        self.store().upgrade().await?;
        // Before the rest: what changes meanwhile is taken in afterwards, once more perhaps.
        let counts = self.store().counts().await?;
        let mut index = self.load_blocks(&counts).await?;
        let differing = self.differing(&index, &counts).await?;
        index.put(differing.iter().map(|hour| load::entry(hour, index.schedule())).collect());
        follower.newest = counts.newest;
        index.evict(self.limits.memory);
        self.state.write().index = Some(Arc::new(index));
        self.note_contact();
        follower.position = Some(counts.position);
        follower.behind = None;
        follower.compared = None;
        Ok(())
    }

    /// Takes in changes.
    async fn apply(&self, changes: Vec<Change>) -> Result<(), HistoryError> {
        let mut changed = BTreeSet::new();
        for change in changes {
            match change {
                Change::Sample(observation) => {
                    let hour = hour_of(observation.sample.timestamp.second());
                    if changed.contains(&hour) || !self.insert(hour, observation) {
                        changed.insert(hour);
                    }
                }
                Change::Hour(hour) => {
                    changed.insert(hour);
                }
                Change::Everything => {}
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let starts: Vec<i64> = changed.into_iter().collect();
        let mut hours = Vec::new();
        for starts in starts.chunks(100) {
            let read = starts.iter().map(|start| self.store().hour(*start));
            hours.extend(futures_util::future::try_join_all(read).await?);
        }
        let index = self.index().ok_or(HistoryError::Loading)?;
        let entries = hours.iter().map(|hour| load::entry(hour, index.schedule())).collect();
        // Put into the index itself, not into a copy, if nobody else has it.
        drop(index);
        self.put(entries);
        Ok(())
    }

    /// Adds a recorded sample to its hour; `false` if its hour must be read instead.
    fn insert(&self, start: i64, observation: Observation) -> bool {
        let Some(index) = self.index() else { return false };
        let (mut observations, mut node) = match index.entry(start) {
            None => (Vec::new(), Node::default()),
            Some(Entry { columns: Some(columns), node, .. }) if node.damaged == 0 => {
                (columns.hour.observations(0..columns.hour.len()), *node)
            }
            Some(_) => return false,
        };
        let at = observations
            .partition_point(|other| other.sample.timestamp <= observation.sample.timestamp);
        let is_known = at
            .checked_sub(1)
            .and_then(|before| observations.get(before))
            .is_some_and(|other| other.sample.timestamp == observation.sample.timestamp);
        if is_known {
            // It was there when the hour was loaded; or it is a second one, put in by hand.
            return false;
        }
        observations.insert(at, observation);
        let hour = Hour::new(start, &observations);
        node = Node {
            members: node.members + 1,
            blocks: node.blocks,
            ..Node::of(&hour, index.schedule())
        };
        let columns = Some(Columns::new(hour));
        drop(index);
        self.put(vec![Entry { start, node, is_sealed: false, columns }]);
        true
    }

    /// Compares counts with those of Redis, and reads the hours that differ.
    async fn compare(
        &self,
        follower: &mut Follower,
        position: &Position,
    ) -> Result<(), HistoryError> {
        let Some(index) = self.index() else { return Ok(()) };
        let counts = self.store().counts().await?;
        follower.compared = Some(Instant::now());
        if counts.position != *position {
            // More changes are coming; unless they do not come.
            let is_lost = counts.position.number <= position.number
                || follower.behind.replace(position.number) == Some(position.number);
            return if is_lost { self.load(follower).await } else { Ok(()) };
        }
        follower.behind = None;
        let known = index.sum(0..index.entries().len());
        if known.blocks != counts.blocks {
            tracing::info!("blocks were changed by hand; loading all recorded prices again");
            return self.load(follower).await;
        }
        // A price that the old stack sees again moves its member to the end.
        let last = known.summary.extremes.map(|extremes| extremes.last.0.score());
        let is_moved = counts.newest != last && counts.newest != follower.newest;
        follower.newest = counts.newest;
        if known.members != counts.members || is_moved {
            let mut differing = self.differing(&index, &counts).await?;
            // A member that has moved within its hour has not changed how many there are.
            if let Some(moved) = counts.newest.and_then(Timestamp::from_score) {
                let start = hour_of(moved.second());
                if differing.iter().all(|hour| hour.start != start) {
                    differing.push(self.store().hour(start).await?);
                }
            }
            tracing::info!(hours = differing.len(), "took in samples that were changed by hand");
            let entries =
                differing.iter().map(|hour| load::entry(hour, index.schedule())).collect();
            drop(index);
            self.put(entries);
        }
        Ok(())
    }

    /// The index as it is now.
    pub(super) fn index(&self) -> Option<Arc<Index>> {
        self.state.read().index.clone()
    }

    /// Puts entries into the index. Several are put into a copy of it, so that readers need not
    /// wait for that.
    fn put(&self, entries: Vec<Entry>) {
        let is_one = entries.len() == 1;
        if is_one && let Some(index) = self.state.write().index.as_mut() {
            let index = Arc::make_mut(index);
            index.put(entries);
            index.evict(self.limits.memory);
            return;
        }
        let Some(index) = self.index() else { return };
        let mut copy = Index::clone(&index);
        drop(index);
        copy.put(entries);
        copy.evict(self.limits.memory);
        self.state.write().index = Some(Arc::new(copy));
    }

    fn note_contact(&self) {
        let now = (Instant::now(), self.store().clock().unix_seconds());
        let mut state = self.state.write();
        let last = state.contact.replace(now);
        if last.is_none_or(|(at, _)| at.elapsed() > FRESH) {
            state.contact_since = now.1;
        }
        if last.is_none_or(|(_, second)| second != now.1) {
            state.now = state.now.wrapping_add(1);
        }
    }
}
