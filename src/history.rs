//! All recorded prices in memory: queries about them are answered without a request to Redis.
//!
//! Samples are kept by hour. `index` has all hours in order, with a tree of their summaries; the samples
//! of an hour are columns of 6 bytes per sample ([`crate::store::Hour`]). `view` computes a mean from
//! the part of the first hour of the range, all whole hours (from the tree) and the part of the last
//! hour. `load` fills the index from Redis, `follow` keeps it in sync. When the samples exceed the
//! memory limit, the least recently used hours are evicted; they are read again when they are needed.
//!
//! While Redis is unavailable, the history keeps answering. Answers that depend on samples that may have
//! been recorded since are given for a limited time only. Uses the domain and the store.

mod answer;
mod batches;
mod candles;
mod coverage;
mod follow;
mod index;
mod load;
mod maintenance;
mod outcomes;
mod statistics;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tokio::{sync::watch, time::sleep};

pub use answer::{Answered, Freshness, HistoryError, Size};
pub use batches::Batch;
pub use maintenance::{Finding, Maintained, Retention};

pub use outcomes::Outcome;
pub use statistics::Statistics;

use self::{
    follow::Follower,
    index::{Columns, Index},
    view::{HourError, View},
};
use crate::{
    domain::{Observation, Order, Page, PageNumber, PageSize, Summary, TimeRange, Total, UnixTime},
    store::{Row, Store, StoreError},
};

/// The maximum age of the last sync at which the index counts as current; the follower syncs every 0.5 s.
const FRESH: Duration = Duration::from_millis(1500);

/// How many times an hour is read if it does not match the index because it is being changed.
const MAX_READS: usize = 60;

/// All recorded prices. Shared by all threads of a process.
#[derive(Debug)]
pub struct History {
    store: Store,
    limits: Limits,
    state: RwLock<State>,
    follower: tokio::sync::Mutex<Follower>,
    /// Notified after each change of the recorded prices.
    changed: watch::Sender<()>,
}

/// The memory limit of a history, and how long it may answer without Redis.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum size of the samples in memory, in bytes.
    pub memory: usize,
    /// How long after the last sync ranges that end later than it are answered.
    pub stale_for: Duration,
}

/// The state that queries read.
#[derive(Debug, Default)]
struct State {
    /// `None` until the samples have been loaded.
    index: Option<Arc<Index>>,
    /// When the index was last in sync with Redis; the same time also as a unix second.
    last_sync: Option<(Instant, i64)>,
    /// The unix second since which the index has been in sync without interruption.
    synced_since: i64,
    /// Counts the seconds with a sync; orders the hours in memory by their last use.
    now: u32,
}

impl History {
    /// Creates a history that is not loaded yet: see [`History::follow`] and [`History::refresh`].
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            state: RwLock::default(),
            follower: tokio::sync::Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    /// Returns the count and the sum of the prices of a range.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn total(&self, range: &TimeRange) -> Result<Answered<Total>, HistoryError> {
        self.query(range.until(), |view| view.total(range)).await
    }

    /// Returns the summary of a range: count, slots, sum, lowest and highest, first and last.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn summary(&self, range: &TimeRange) -> Result<Answered<Summary>, HistoryError> {
        self.query(range.until(), |view| view.summary(range)).await
    }

    /// Returns one page of the samples of a range; `None` past the last page.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn page(
        &self,
        range: &TimeRange,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Answered<Option<Page<Row>>>, HistoryError> {
        self.query(range.until(), |view| view.page(range, page, size, order)).await
    }

    /// Returns the last sample at or before a time, with its provenance.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn last_until(
        &self,
        at: UnixTime,
    ) -> Result<Answered<Option<Observation>>, HistoryError> {
        self.query(Some(at), |view| view.last_until(at)).await
    }

    /// Returns the price that was recorded in a unix second, in 1/10000 peso; if there are several, the last.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn price_at(&self, second: i64) -> Result<Answered<Option<i64>>, HistoryError> {
        self.query(Some(UnixTime::from_seconds(second)), |view| view.price_at(second)).await
    }

    /// Returns the latest sample, with its provenance.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn latest(&self) -> Result<Answered<Option<Observation>>, HistoryError> {
        #[allow(clippy::redundant_closure_for_method_calls, reason = "a view of any lifetime")]
        self.query(None, |view| view.latest()).await
    }

    /// Returns the ranks of the samples of a range among all samples.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn ranks(
        &self,
        range: &TimeRange,
    ) -> Result<Answered<std::ops::Range<u64>>, HistoryError> {
        self.query(range.until(), |view| view.ranks(range)).await
    }

    /// Returns the samples of the given ranks, oldest first.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn rows(
        &self,
        ranks: std::ops::Range<u64>,
    ) -> Result<Answered<Vec<Row>>, HistoryError> {
        let collect = |view: &View<'_>| {
            let mut rows = Vec::new();
            view.for_each_hour(ranks.clone(), |hour, part| rows.extend(hour.rows(part)))?;
            Ok(rows)
        };
        self.query(None, collect).await
    }

    /// Returns how current the history is.
    pub fn freshness(&self) -> Freshness {
        let state = self.state.read();
        match state.last_sync {
            None => Freshness::Loading,
            Some((at, _)) if at.elapsed() <= FRESH => {
                Freshness::Current { known_until: self.store.clock().unix_seconds() }
            }
            Some((at, known_until)) if at.elapsed() <= self.limits.stale_for => {
                Freshness::Stale { known_until }
            }
            Some((_, known_until)) => Freshness::Expired { known_until },
        }
    }

    /// Returns how many samples are recorded, and the memory that they use.
    pub fn size(&self) -> Size {
        let state = self.state.read();
        let Some(index) = &state.index else { return Size::default() };
        let summary = index.all().summary;
        Size {
            samples: summary.count,
            first: summary.extremes.map(|all| all.first.0.second()),
            last: summary.extremes.map(|all| all.last.0.second()),
            memory: index.memory(),
        }
    }

    /// Returns a receiver that is notified after each change of the recorded prices.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns the current unix second.
    pub fn now(&self) -> i64 {
        self.store.clock().unix_seconds()
    }

    /// Returns the store that the history is loaded from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs a query about samples up to `until`. Hours that it needs and that are not in memory are read
    /// from Redis.
    async fn query<T>(
        &self,
        until: Option<UnixTime>,
        evaluate: impl Fn(&View<'_>) -> Result<T, HourError>,
    ) -> Result<Answered<T>, HistoryError> {
        let mut fetched = HashMap::new();
        loop {
            match self.query_memory(until, &evaluate, &fetched)? {
                Ok(answered) => return Ok(answered),
                Err(hour) => fetched.insert(hour, self.fetch(hour).await?),
            };
        }
    }

    /// Runs a query on the samples in memory; returns the first unix second of an hour that is missing.
    fn query_memory<T>(
        &self,
        until: Option<UnixTime>,
        evaluate: impl Fn(&View<'_>) -> Result<T, HourError>,
        fetched: &HashMap<i64, Arc<Columns>>,
    ) -> Result<Result<Answered<T>, i64>, HistoryError> {
        let state = self.state.read();
        let until = self.known_until(&state, until)?;
        let index = state.index.as_ref().ok_or(HistoryError::Loading)?;
        match evaluate(&View { index, fetched, now: state.now }) {
            Ok(value) => Ok(Ok(Answered { value, until })),
            Err(HourError::Evicted(hour)) => Ok(Err(hour)),
            Err(HourError::Damaged(hour)) => Err(HistoryError::Damaged { hour }),
        }
    }

    /// Returns the unix second up to which the result of a query about samples up to `until` is complete;
    /// `None` if it is complete up to `until`.
    fn known_until(
        &self,
        state: &State,
        until: Option<UnixTime>,
    ) -> Result<Option<i64>, HistoryError> {
        let (at, known_until) = state.last_sync.ok_or(HistoryError::Loading)?;
        let age = at.elapsed();
        if age <= FRESH || until.is_some_and(|until| until.second() < known_until) {
            Ok(None)
        } else if age <= self.limits.stale_for {
            Ok(Some(known_until))
        } else {
            Err(HistoryError::Stale { known_until })
        }
    }

    /// Reads an hour that is not in memory, and adds it to the index.
    async fn fetch(&self, start: i64) -> Result<Arc<Columns>, HistoryError> {
        for _ in 0..MAX_READS {
            let stored = self.store.hour(start).await?;
            if let Some(damage) = stored.damage() {
                return Err(damage.into());
            }
            let columns = Columns::new(stored.columns());
            if self.keep(start, &columns)? {
                return Ok(columns);
            }
            // The hour has changed; the follower will apply the change soon.
            sleep(Duration::from_millis(25)).await;
        }
        Err(StoreError::Contended { operation: "read an hour", hour: start }.into())
    }

    /// Keeps the samples of an hour in memory; returns `false` if they differ from the summary in the index.
    fn keep(&self, start: i64, columns: &Arc<Columns>) -> Result<bool, HistoryError> {
        let mut state = self.state.write();
        let index = state.index.as_mut().ok_or(HistoryError::Loading)?;
        Ok(Arc::make_mut(index).keep(start, columns, self.limits.memory))
    }
}
