//! All recorded prices in memory: answers every question about them without a trip to Redis.
//!
//! Samples are kept by the hour. `index` has all hours in order, with a tree of their summaries; an
//! hour's own samples are columns of 6 bytes a sample ([`crate::store::Hour`]). A mean is computed
//! in `view`: the part of the first hour of its range, all whole hours from the tree, the part of
//! the last hour. `load` fills the index from Redis, `follow` keeps it equal to Redis. Hours that
//! were not used for longest are removed from memory beyond a limit, and read again when they are
//! needed.
//!
//! While Redis is away the history goes on answering, for a limited time where an answer depends
//! on what may have been recorded since. Uses the domain and the store.

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

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tokio::{sync::watch, time::sleep};

pub use answer::{Freshness, HistoryError, Known, Size};
pub use batches::Batch;
pub use maintenance::{Finding, Maintained, Retention};

pub use outcomes::Outcome;
pub use statistics::Statistics;

use self::{
    follow::Follower,
    index::{Columns, Index},
    view::{Miss, View},
};
use crate::{
    domain::{Observation, Order, Page, PageNumber, PageSize, Summary, TimeRange, Total, UnixTime},
    store::{Row, Store, StoreError},
};

/// Contact with Redis that is younger than this is contact now: a follower has it twice a second.
const FRESH: Duration = Duration::from_millis(1500);

/// How often an hour is read again that does not match the index: a change is under way.
const READS: usize = 60;

/// All recorded prices. Shared by all threads of a process.
#[derive(Debug)]
pub struct History {
    store: Store,
    limits: Limits,
    state: RwLock<State>,
    follower: tokio::sync::Mutex<Follower>,
    /// Notified after changes of the recorded prices.
    changed: watch::Sender<()>,
}

/// How much a history may keep, and for how long it may answer without Redis.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The bytes of samples that are kept in memory.
    pub memory: usize,
    /// How long ranges that end after the last contact with Redis are answered.
    pub stale_for: Duration,
}

/// What readers see.
#[derive(Debug, Default)]
struct State {
    /// `None` until it has been loaded.
    index: Option<Arc<Index>>,
    /// When everything was last known to be as in Redis, and the unix second of that.
    contact: Option<(Instant, i64)>,
    /// The unix second since which there has been contact all the time.
    contact_since: i64,
    /// Counts up once a second; tells which hours were used lately.
    now: u32,
}

impl History {
    /// A history that is not loaded yet: see [`History::follow`] and [`History::refresh`].
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            state: RwLock::default(),
            follower: tokio::sync::Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    /// Count and sum of the prices of a range.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn total(&self, range: &TimeRange) -> Result<Known<Total>, HistoryError> {
        self.ask(range.until(), |view| view.total(range)).await
    }

    /// The summary of a range: count, slots, sum, lowest and highest, first and last.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn summary(&self, range: &TimeRange) -> Result<Known<Summary>, HistoryError> {
        self.ask(range.until(), |view| view.summary(range)).await
    }

    /// One page of the samples of a range; `None` past the end.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn page(
        &self,
        range: &TimeRange,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Known<Option<Page<Row>>>, HistoryError> {
        self.ask(range.until(), |view| view.page(range, page, size, order)).await
    }

    /// The last sample at or before a time, with all that is known of it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn last_until(
        &self,
        at: UnixTime,
    ) -> Result<Known<Option<Observation>>, HistoryError> {
        self.ask(Some(at), |view| view.last_until(at)).await
    }

    /// The price that was recorded in a unix second, in 1/10000 peso; of several the last one.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn price_at(&self, second: i64) -> Result<Known<Option<i64>>, HistoryError> {
        self.ask(Some(UnixTime::from_seconds(second)), |view| view.price_at(second)).await
    }

    /// The last sample of all, with all that is known of it.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn latest(&self) -> Result<Known<Option<Observation>>, HistoryError> {
        #[allow(clippy::redundant_closure_for_method_calls, reason = "a view of any lifetime")]
        self.ask(None, |view| view.latest()).await
    }

    /// The ranks of the samples of a range among all samples.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn ranks(
        &self,
        range: &TimeRange,
    ) -> Result<Known<std::ops::Range<u64>>, HistoryError> {
        self.ask(range.until(), |view| view.ranks(range)).await
    }

    /// The samples of some ranks, oldest first.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn rows(&self, ranks: std::ops::Range<u64>) -> Result<Known<Vec<Row>>, HistoryError> {
        let collect = |view: &View<'_>| {
            let mut rows = Vec::new();
            view.for_each_hour(ranks.clone(), |hour, part| rows.extend(hour.rows(part)))?;
            Ok(rows)
        };
        self.ask(None, collect).await
    }

    /// How current it is.
    pub fn freshness(&self) -> Freshness {
        let state = self.state.read();
        match state.contact {
            None => Freshness::Loading,
            Some((at, _)) if at.elapsed() <= FRESH => {
                Freshness::Current { known_until: self.store.clock().unix_seconds() }
            }
            Some((at, known_until)) if at.elapsed() <= self.limits.stale_for => {
                Freshness::Stale { known_until }
            }
            Some((_, known_until)) => Freshness::Refusing { known_until },
        }
    }

    /// How much is recorded, and the memory that it takes.
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

    /// Gives notice after each change of the recorded prices.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The current unix second.
    pub fn now(&self) -> i64 {
        self.store.clock().unix_seconds()
    }

    /// The store that it is loaded from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers a question about samples up to `until`. Hours that it needs and that are not in
    /// memory are read from Redis.
    async fn ask<T>(
        &self,
        until: Option<UnixTime>,
        question: impl Fn(&View<'_>) -> Result<T, Miss>,
    ) -> Result<Known<T>, HistoryError> {
        let mut fetched = HashMap::new();
        loop {
            match self.ask_memory(until, &question, &fetched)? {
                Ok(known) => return Ok(known),
                Err(hour) => fetched.insert(hour, self.fetch(hour).await?),
            };
        }
    }

    /// Answers a question from memory; else gives the hour that it needs.
    fn ask_memory<T>(
        &self,
        until: Option<UnixTime>,
        question: impl Fn(&View<'_>) -> Result<T, Miss>,
        fetched: &HashMap<i64, Arc<Columns>>,
    ) -> Result<Result<Known<T>, i64>, HistoryError> {
        let state = self.state.read();
        let until = self.known_until(&state, until)?;
        let index = state.index.as_ref().ok_or(HistoryError::Loading)?;
        match question(&View { index, fetched, now: state.now }) {
            Ok(value) => Ok(Ok(Known { value, until })),
            Err(Miss::Evicted(hour)) => Ok(Err(hour)),
            Err(Miss::Damaged(hour)) => Err(HistoryError::Damaged { hour }),
        }
    }

    /// Until when everything is known that an answer up to `until` depends on; `None` if it is all
    /// of it.
    fn known_until(
        &self,
        state: &State,
        until: Option<UnixTime>,
    ) -> Result<Option<i64>, HistoryError> {
        let (at, known_until) = state.contact.ok_or(HistoryError::Loading)?;
        let age = at.elapsed();
        if age <= FRESH || until.is_some_and(|until| until.second() < known_until) {
            Ok(None)
        } else if age <= self.limits.stale_for {
            Ok(Some(known_until))
        } else {
            Err(HistoryError::Stale { known_until })
        }
    }

    /// Reads an hour that is not in memory, and keeps it there.
    async fn fetch(&self, start: i64) -> Result<Arc<Columns>, HistoryError> {
        for _ in 0..READS {
            let stored = self.store.hour(start).await?;
            if let Some(damage) = stored.damage() {
                return Err(damage.into());
            }
            let columns = Columns::new(stored.columns());
            if self.keep(start, &columns)? {
                return Ok(columns);
            }
            // It has changed; the follower is about to take that in.
            sleep(Duration::from_millis(25)).await;
        }
        Err(StoreError::Contended { operation: "read an hour", hour: start }.into())
    }

    /// Keeps the samples of an hour in memory; `false` if they are not those of the index.
    fn keep(&self, start: i64, columns: &Arc<Columns>) -> Result<bool, HistoryError> {
        let mut state = self.state.write();
        let index = state.index.as_mut().ok_or(HistoryError::Loading)?;
        Ok(Arc::make_mut(index).keep(start, columns, self.limits.memory))
    }
}
