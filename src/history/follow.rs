//! Keeps the index in sync with Redis.
//!
//! A follower reads the stream of changes. Once a second it also compares counts, to find changes that
//! were made without a message: manually, or by an old stack that still runs. If it has missed a message,
//! it loads everything again.

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

/// How long a read of the stream waits for a change.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// The time between comparisons of counts.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(200);

/// How far a history has read the stream of changes.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The position after the last applied change; `None` if everything must be loaded.
    position: Option<Position>,
    changes: Option<Changes>,
    /// The run of the Redis server to which the position belongs.
    server: String,
    /// The time of the last comparison of counts.
    last_comparison: Option<Instant>,
    /// The score of the newest member at the last comparison.
    newest: Option<f64>,
    /// The number of the position at the last comparison, if changes after it had not arrived then.
    behind: Option<u64>,
}

impl History {
    /// Loads everything and keeps it in sync with Redis; never returns. It lags by at most one message.
    pub async fn follow(&self) {
        let mut is_reported = false;
        loop {
            match self.step(MAX_WAIT).await {
                Ok(()) if is_reported => {
                    tracing::info!("reading changes of recorded prices again");
                    is_reported = false;
                }
                Ok(()) => {}
                Err(error) => {
                    // The follower of the clock reports that Redis is unavailable.
                    if is_reported || connection::is_outage(&error) {
                        tracing::debug!(%error, "cannot read changes of recorded prices; retrying");
                    } else {
                        tracing::warn!(%error, "cannot read changes of recorded prices; retrying");
                        is_reported = true;
                    }
                    self.follower.lock().await.changes = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Applies all changes so far; loads everything if that has not been done yet.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn refresh(&self) -> Result<(), HistoryError> {
        self.follower.lock().await.last_comparison = None;
        let first = self.step(Duration::ZERO).await;
        if first.is_err() {
            // A connection that was closed in the meantime fails only when it is used.
            self.follower.lock().await.changes = None;
            return self.step(Duration::ZERO).await;
        }
        first
    }

    /// Reads changes once, waiting up to `wait` for the first one; compares counts when that is due.
    async fn step(&self, wait: Duration) -> Result<(), HistoryError> {
        let follower = &mut *self.follower.lock().await;
        if follower.changes.is_none() {
            let changes = self.store().changes().await?;
            if follower.server != changes.server {
                // Another server, or another run of it, may lack some of the applied changes.
                follower.position = None;
                follower.server.clone_from(&changes.server);
            }
            follower.changes = Some(changes);
            follower.last_comparison = None;
        }
        let Some(mut position) = follower.position.clone() else {
            return self.load(follower).await;
        };
        let Some(changes) = &mut follower.changes else { return Ok(()) };
        let mut wait = if follower.last_comparison.is_none() { Duration::ZERO } else { wait };
        loop {
            let Some((found, next)) = changes.after(&position, wait).await? else {
                tracing::warn!("lost changes of recorded prices; loading all prices again");
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
        if follower.last_comparison.is_none_or(|at| at.elapsed() >= COMPARE_EVERY) {
            self.compare(follower, &position).await?;
        }
        self.mark_synced();
        Ok(())
    }

    /// Loads everything.
    async fn load(&self, follower: &mut Follower) -> Result<(), HistoryError> {
        follower.position = None;
        self.store().upgrade().await?;
        // Read first: changes made during loading are applied afterwards, possibly a second time.
        let counts = self.store().counts().await?;
        let mut index = self.load_blocks(&counts).await?;
        let differing = self.differing(&index, &counts).await?;
        index.put(differing.iter().map(|hour| load::entry(hour, index.schedule())).collect());
        follower.newest = counts.newest;
        index.evict(self.limits.memory);
        self.state.write().index = Some(Arc::new(index));
        self.mark_synced();
        follower.position = Some(counts.position);
        follower.behind = None;
        follower.last_comparison = None;
        Ok(())
    }

    /// Applies changes.
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
        // Without another reference, `put` can modify the index without copying it.
        drop(index);
        self.put(entries);
        Ok(())
    }

    /// Adds a recorded sample to its hour; returns `false` if the hour must be read from Redis instead.
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
        let is_duplicate = at
            .checked_sub(1)
            .and_then(|before| observations.get(before))
            .is_some_and(|other| other.sample.timestamp == observation.sample.timestamp);
        if is_duplicate {
            // The sample was loaded with its hour, or it is a second one that was added manually.
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
        follower.last_comparison = Some(Instant::now());
        if counts.position != *position {
            // More changes are on their way, or they were lost.
            let is_lost = counts.position.number <= position.number
                || follower.behind.replace(position.number) == Some(position.number);
            return if is_lost { self.load(follower).await } else { Ok(()) };
        }
        follower.behind = None;
        let indexed = index.sum(0..index.entries().len());
        if indexed.blocks != counts.blocks {
            tracing::info!("blocks were changed manually; loading all prices again");
            return self.load(follower).await;
        }
        // If the old stack records a price again, the score of its member changes to the newest.
        let last = indexed.summary.extremes.map(|extremes| extremes.last.0.score());
        let is_moved = counts.newest != last && counts.newest != follower.newest;
        follower.newest = counts.newest;
        if indexed.members != counts.members || is_moved {
            let mut differing = self.differing(&index, &counts).await?;
            // A member that has moved within its hour has not changed the number of members.
            if let Some(moved) = counts.newest.and_then(Timestamp::from_score) {
                let start = hour_of(moved.second());
                if differing.iter().all(|hour| hour.start != start) {
                    differing.push(self.store().hour(start).await?);
                }
            }
            tracing::info!(hours = differing.len(), "applied samples that were changed manually");
            let entries =
                differing.iter().map(|hour| load::entry(hour, index.schedule())).collect();
            drop(index);
            self.put(entries);
        }
        Ok(())
    }

    /// Returns the current index.
    pub(super) fn index(&self) -> Option<Arc<Index>> {
        self.state.read().index.clone()
    }

    /// Puts entries into the index. Several entries are put into a copy of it, so that queries need not wait.
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

    /// Notes that the index is in sync with Redis now.
    fn mark_synced(&self) {
        let now = (Instant::now(), self.store().clock().unix_seconds());
        let mut state = self.state.write();
        let last = state.last_sync.replace(now);
        if last.is_none_or(|(at, _)| at.elapsed() > FRESH) {
            state.synced_since = now.1;
        }
        if last.is_none_or(|(_, second)| second != now.1) {
            state.now = state.now.wrapping_add(1);
        }
    }
}
