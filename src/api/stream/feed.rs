//! The events of the most recent slots, serialized once for all clients.

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
    domain::{MissedReason, Observation},
    history::{History, HistoryError, Outcome},
};

/// The maximum number of events that are kept, and that are read at once.
const EVENTS: u16 = 360;
/// The interval between checks for slots that have ended without a price.
const EVERY: Duration = Duration::from_secs(1);

/// The events of the most recent slots.
pub(super) struct Feed {
    history: Arc<History>,
    /// The length of a slot in seconds.
    slot: i64,
    /// One event for each slot, in order and without gaps.
    recent: RwLock<VecDeque<Event>>,
    /// Notifies clients of new events.
    news: watch::Sender<()>,
    started: Once,
}

/// The result of a slot, as it is sent to clients.
#[derive(Debug, Clone)]
struct Event {
    /// The first second of the slot.
    slot: i64,
    text: Bytes,
}

/// The data of a `price` event.
#[derive(Serialize)]
struct PriceData<'a> {
    slot: i64,
    timestamp: i64,
    price: f64,
    source: Option<&'a str>,
    ask: Option<f64>,
    bid: Option<f64>,
}

/// The data of a `missed` event.
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

    /// Subscribes to new events. The first subscription starts the task that produces them.
    pub(super) fn follow(feed: &Arc<Self>) -> watch::Receiver<()> {
        feed.started.call_once(|| {
            let feed = Arc::clone(feed);
            tokio::spawn(async move { feed.write().await });
        });
        feed.news.subscribe()
    }

    /// Returns the events of the slots that begin at or after a Unix second, and the second from which to
    /// continue; `None` if there are no such events yet.
    pub(super) async fn after(&self, second: i64) -> Option<(Bytes, i64)> {
        if let Some(decided) = self.recent_after(second) {
            return decided;
        }
        // After an error the client retries on the next event or when it reconnects.
        let events = self.read(second).await.ok()?;
        let next = events.last()?.slot + 1;
        Some((join(&events), next))
    }

    /// Like [`Self::after`], from the recent events. Returns `None` if they cannot decide: they begin after
    /// `second`, or end before the slot that precedes it. The caller then reads the history, so that a client
    /// that starts with the last price does not wait for the recent events to catch up.
    #[allow(clippy::option_option, reason = "not decidable, or decided: no events yet")]
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
            // The usual case: all clients share the same bytes.
            (1, Some(last)) => Some((last.text.clone(), last.slot + 1)),
            (_, Some(last)) => {
                let events: Vec<Event> = events.by_ref().cloned().collect();
                Some((join(&events), last.slot + 1))
            }
        })
    }

    /// Keeps the recent events up to date, forever. After a long outage it skips older slots; clients read
    /// those from the history.
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
                let continues = next == Some(from);
                next = Some(last.slot + 1);
                self.add(events, continues);
            }
            if is_full {
                // There may be more events.
                continue;
            }
            tokio::select! {
                _changed = changes.changed() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    async fn read(&self, from: i64) -> Result<Vec<Event>, HistoryError> {
        let outcomes = self.history.outcomes(from, usize::from(EVENTS)).await?;
        Ok(outcomes.iter().map(Event::from).collect())
    }

    /// Adds events: they continue the recent ones if `continues`, and replace them otherwise.
    fn add(&self, events: Vec<Event>, continues: bool) {
        let mut recent = self.recent.write();
        if !continues {
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
                let reason = reason.map_or("not_scheduled", MissedReason::name);
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
