//! The events of the last slots, written once for all clients.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Arc, Once},
    time::Duration,
};

use hyper::body::Bytes;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::{sync::watch, time::sleep};

use crate::{
    api::numbers::pesos,
    domain::{Observation, Reason},
    history::{History, HistoryError, Outcome},
};

/// The events that are kept, and the most that are read at once.
const EVENTS: u16 = 360;
/// How often it is looked whether a slot has ended without a price.
const EVERY: Duration = Duration::from_secs(1);

/// The events of the last slots.
pub(super) struct Feed {
    history: Arc<History>,
    /// The length of a slot in seconds.
    slot: i64,
    /// One of each slot, without a gap.
    recent: RwLock<VecDeque<Event>>,
    /// Notified of new ones.
    news: watch::Sender<()>,
    started: Once,
}

/// What became of a slot, as it is sent.
#[derive(Debug, Clone)]
struct Event {
    /// The first second of the slot.
    slot: i64,
    text: Bytes,
}

/// The data of an event `price`.
#[derive(Serialize)]
struct PriceData<'a> {
    slot: i64,
    timestamp: i64,
    price: f64,
    source: Option<&'a str>,
    ask: Option<f64>,
    bid: Option<f64>,
}

/// The data of an event `missed`.
#[derive(Serialize)]
struct MissedData {
    slot: i64,
    /// The last second of the slot.
    until: i64,
    reason: &'static str,
}

impl Feed {
    pub(super) fn new(history: Arc<History>, slot: i64) -> Self {
        Self {
            history,
            slot,
            recent: RwLock::default(),
            news: watch::Sender::default(),
            started: Once::new(),
        }
    }

    /// Gives notice of new events from now on. The first client starts the task that writes them.
    pub(super) fn follow(feed: &Arc<Self>) -> watch::Receiver<()> {
        feed.started.call_once(|| {
            let feed = Arc::clone(feed);
            tokio::spawn(async move { feed.write().await });
        });
        feed.news.subscribe()
    }

    /// The events of the slots that begin at or after a unix second, and the second to go on from;
    /// `None` if there is none yet.
    pub(super) async fn after(&self, second: i64) -> Option<(Bytes, i64)> {
        if let Some(known) = self.recent_after(second) {
            return known;
        }
        // It is tried again with the next event, or when the client has connected again.
        let events = self.read(second).await.ok()?;
        let next = events.last()?.slot + 1;
        Some((join(&events), next))
    }

    /// The same of the recent events; `None` if they begin later, or end before the slot that comes
    /// before `second`: a client that begins with the last price does not wait for the slots before it.
    #[allow(clippy::option_option, reason = "unknown, or known to be none")]
    fn recent_after(&self, second: i64) -> Option<Option<(Bytes, i64)>> {
        let recent = self.recent.read();
        let (first, last) = (recent.front()?.slot, recent.back()?.slot);
        if !(first..=last.saturating_add(self.slot)).contains(&second) {
            return None;
        }
        let from = recent.partition_point(|event| event.slot < second);
        let mut events = recent.range(from..);
        Some(match (events.len(), recent.back()) {
            (0, _) | (_, None) => None,
            // As nearly always: all clients share it.
            (1, Some(last)) => Some((last.text.clone(), last.slot + 1)),
            (_, Some(last)) => {
                let events: Vec<Event> = events.by_ref().cloned().collect();
                Some((join(&events), last.slot + 1))
            }
        })
    }

    /// Keeps the events of the last slots up to date, for ever. After a pause of recording it skips older
    /// slots, which clients read from the history.
    async fn write(&self) {
        let mut changes = self.history.changes();
        let mut next: Option<i64> = None;
        loop {
            changes.mark_unchanged();
            let oldest = self.history.now().saturating_sub(i64::from(EVENTS) * self.slot);
            let from = next.map_or(oldest, |next| next.max(oldest));
            let events = self.read(from).await.unwrap_or_default();
            let is_full = events.len() >= usize::from(EVENTS);
            if let Some(last) = events.last() {
                let goes_on = next == Some(from);
                next = Some(last.slot + 1);
                self.add(events, goes_on);
            }
            if is_full {
                // There may be more.
                continue;
            }
            tokio::select! {
                _news = changes.changed() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    async fn read(&self, from: i64) -> Result<Vec<Event>, HistoryError> {
        let outcomes = self.history.outcomes(from, usize::from(EVENTS)).await?;
        Ok(outcomes.iter().map(Event::from).collect())
    }

    /// Adds events, which go on where the recent ones end or replace them.
    fn add(&self, events: Vec<Event>, goes_on: bool) {
        let mut recent = self.recent.write();
        if !goes_on {
            recent.clear();
        }
        recent.extend(events);
        let old = recent.len().saturating_sub(usize::from(EVENTS));
        recent.drain(..old);
        drop(recent);
        self.news.send_replace(());
    }
}

fn join(events: &[Event]) -> Bytes {
    events.iter().flat_map(|event| &event.text).copied().collect::<Vec<u8>>().into()
}

impl From<&Outcome> for Event {
    fn from(outcome: &Outcome) -> Self {
        let slot = outcome.slot.start();
        let (kind, data) = match &outcome.result {
            Ok(observation) => ("price", json(&price(slot, observation))),
            Err(reason) => {
                let reason = reason.map_or("not_scheduled", Reason::name);
                ("missed", json(&MissedData { slot, until: outcome.slot.end() - 1, reason }))
            }
        };
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _written = write!(text, "event: {kind}\nid: {slot}\ndata: {data}\n\n");
        Self { slot, text: text.into() }
    }
}

fn price(slot: i64, Observation { sample, provenance }: &Observation) -> PriceData<'_> {
    let from = provenance.as_ref();
    PriceData {
        slot,
        timestamp: sample.timestamp.second(),
        price: pesos(sample.price),
        source: from.map(|from| from.source.as_str()),
        ask: from.and_then(|from| from.ask).map(pesos),
        bid: from.and_then(|from| from.bid).map(pesos),
    }
}

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}
