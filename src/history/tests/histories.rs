//! Builds histories that have been loaded, and indexes and views.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;

use super::{
    super::{
        Answered, History, HistoryError, Limits,
        index::{Columns, Entry, Index, Node},
        view::View,
    },
    samples::BASE,
};
use crate::{
    clock::Clock,
    connection::Server,
    domain::{Observation, Schedule, Slots},
    store::{HOUR, Hour, Store, hour_of},
};

/// What a history has recorded, and which of it is not in memory. Hours are numbered from the one that
/// begins at [`BASE`].
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) samples: Vec<Observation>,
    pub(super) schedule: Schedule,
    pub(super) evicted: Vec<i64>,
    pub(super) damaged: Vec<i64>,
    /// Hours whose members are not samples.
    pub(super) empty: Vec<i64>,
}

pub(super) fn recorded(samples: impl Into<Vec<Observation>>) -> Recorded {
    let schedule = Schedule::new(ten_seconds());
    let (evicted, damaged, empty) = (Vec::new(), Vec::new(), Vec::new());
    Recorded { samples: samples.into(), schedule, evicted, damaged, empty }
}

/// Returns a history without samples.
pub(super) fn nothing() -> Recorded {
    recorded(Vec::new())
}

pub(super) fn index_of(samples: impl Into<Vec<Observation>>) -> Index {
    recorded(samples).index()
}

pub(super) fn history_of(samples: impl Into<Vec<Observation>>) -> History {
    recorded(samples).history()
}

impl Recorded {
    /// Sets the lengths of slots: pairs of a second after [`BASE`] and the length from then on.
    pub(super) fn slots<const N: usize>(mut self, lengths: [(i64, u64); N]) -> Self {
        let lengths = lengths.map(|(second, length)| (BASE + second, length));
        self.schedule = Schedule::from_changes(lengths).unwrap();
        self
    }

    pub(super) fn evicted(mut self, hours: impl IntoIterator<Item = i64>) -> Self {
        self.evicted.extend(hours);
        self
    }

    pub(super) fn damaged(mut self, hour: i64) -> Self {
        self.damaged.push(hour);
        self
    }

    pub(super) fn empty(mut self, hour: i64) -> Self {
        self.empty.push(hour);
        self
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut hours: BTreeMap<i64, Vec<Observation>> = BTreeMap::new();
        for sample in &self.samples {
            let hour = hour_of(sample.sample.timestamp.second());
            hours.entry(hour).or_default().push(sample.clone());
        }
        for hour in self.empty.iter().chain(&self.damaged) {
            hours.insert(start_of(*hour), Vec::new());
        }
        let entry = |(start, samples): (i64, Vec<Observation>)| {
            let hour = Hour::new(start, &samples);
            let is = |hours: &[i64]| hours.iter().any(|hour| start_of(*hour) == start);
            let members = if is(&self.empty) { 1 } else { samples.len() as u64 };
            let damaged = u64::from(is(&self.damaged));
            let node =
                Node { members, damaged, blocks: damaged, ..Node::of(&hour, &self.schedule) };
            let columns = (!is(&self.evicted)).then(|| Columns::new(hour));
            Entry { start, node, is_sealed: false, columns }
        };
        hours.into_iter().map(entry).collect()
    }

    pub(super) fn index(&self) -> Index {
        Index::new(Arc::new(self.schedule.clone()), self.entries())
    }

    /// Returns a history that is in sync now.
    pub(super) fn history(&self) -> History {
        let history = empty_history();
        let mut state = history.state.write();
        state.index = Some(Arc::new(self.index()));
        state.last_sync = Some((Instant::now(), history.now()));
        drop(state);
        history
    }
}

/// Returns a history that has not been loaded.
pub(super) fn empty_history() -> History {
    history_at("redis://127.0.0.1:1")
}

pub(super) fn history_at(url: &str) -> History {
    let server = Server::from_url(url).unwrap();
    let store = Store::new(&server, ten_seconds(), Clock::machine());
    History::new(store, Limits { memory: usize::MAX, stale_for: Duration::from_mins(1) })
}

fn ten_seconds() -> Slots {
    Slots::new(Duration::from_secs(10)).unwrap()
}

impl History {
    /// Sets when the history was last in sync, by the clock of this machine and as a second after [`BASE`].
    pub(super) fn synced(self, ago: Duration, known_until: i64) -> Self {
        let at = Instant::now().checked_sub(ago).unwrap();
        self.state.write().last_sync = Some((at, BASE + known_until));
        self
    }
}

/// Returns the first unix second of an hour, by its number.
pub(super) fn start_of(hour: i64) -> i64 {
    BASE + hour * HOUR
}

/// Returns the view of an index for which no hour has been read.
pub(super) fn view(index: &Index) -> View<'_> {
    static NONE: LazyLock<HashMap<i64, Arc<Columns>>> = LazyLock::new(HashMap::new);
    View { index, fetched: &NONE, now: 1 }
}

/// Returns the result of a query that needs no request to Redis.
pub(super) fn result<T>(
    query: impl Future<Output = Result<Answered<T>, HistoryError>>,
) -> Result<T, HistoryError> {
    let answered = query.now_or_never().expect("an answer without a request to Redis")?;
    Ok(answered.value)
}

/// Returns the value of a query that needs no request to Redis.
pub(super) fn value<T>(query: impl Future<Output = Result<Answered<T>, HistoryError>>) -> T {
    result(query).unwrap()
}
