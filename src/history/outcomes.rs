//! The outcomes of slots, in order, for clients that follow them.

use std::collections::HashMap;

use super::{
    FRESH, History, HistoryError,
    view::{HourError, View},
};
use crate::domain::{MissedReason, Observation, Slot, UnixTime};

/// The seconds after the end of a slot after which it is missed if it has no sample.
const GRACE: i64 = 3;
/// The seconds after an outage of Redis in which other processes record the reasons of missed slots.
const SETTLE_TIME: i64 = 5;

/// The outcome of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The slot.
    pub slot: Slot,
    /// The sample of the slot; if it was missed, the reason; `None` if none is recorded: it was not
    /// scheduled.
    pub result: Result<Observation, Option<MissedReason>>,
}

impl History {
    /// Returns the outcomes of the slots that begin at or after a unix second, oldest first: at most `most`,
    /// up to the first slot that is still open. Slots before the first one ever recorded are left out.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn outcomes(&self, from: i64, most: usize) -> Result<Vec<Outcome>, HistoryError> {
        let decided = self.decided()?;
        let until = Some(UnixTime::from_seconds(decided));
        let slots = self.query(until, |view| view.slots(from, decided, most)).await?.value;
        let missed = slots.iter().filter(|(_, sample)| sample.is_none());
        let missed: Vec<Slot> = missed.map(|(slot, _)| *slot).collect();
        let reasons = match (missed.first(), missed.last()) {
            (Some(first), Some(last)) => {
                self.store().missed_reasons(first.start(), last.end()).await?
            }
            _ => HashMap::new(),
        };
        let outcome = |(slot, sample): (Slot, Option<Observation>)| {
            let result = sample.ok_or_else(|| reasons.get(&slot.start()).copied());
            Outcome { slot, result }
        };
        Ok(slots.into_iter().map(outcome).collect())
    }

    /// Returns the unix second up to which slots that ended without a sample are definitely missed.
    fn decided(&self) -> Result<i64, HistoryError> {
        let now = self.store().clock().unix_seconds();
        let state = self.state.read();
        let (at, known_until) = state.last_sync.ok_or(HistoryError::Loading)?;
        if at.elapsed() > FRESH {
            return Ok(known_until - GRACE);
        }
        let is_settled = now - state.synced_since >= SETTLE_TIME;
        Ok(if is_settled { now - GRACE } else { state.synced_since - SETTLE_TIME })
    }
}

impl View<'_> {
    /// Returns slots with their first samples, up to the first slot that is still open.
    #[allow(clippy::type_complexity, reason = "destructured by the only caller")]
    fn slots(
        &self,
        from: i64,
        decided: i64,
        most: usize,
    ) -> Result<Vec<(Slot, Option<Observation>)>, HourError> {
        let schedule = self.index.schedule();
        let Some(all) = self.index.all().summary.extremes else { return Ok(Vec::new()) };
        let first = schedule.slot(all.first.0.second());
        let mut slot = schedule.slot(schedule.first_start(from.max(first.start())));
        let mut samples = Samples { view: self, position: 0, remaining: Vec::new().into_iter() };
        samples.seek(slot.start())?;
        let mut slots = Vec::new();
        while slots.len() < most {
            let sample = samples.first_of(slot)?;
            if sample.is_none() && slot.end() > decided {
                break;
            }
            slots.push((slot, sample));
            slot = schedule.slot(slot.end());
        }
        Ok(slots)
    }
}

/// Iterates over samples, hour by hour.
struct Samples<'a> {
    view: &'a View<'a>,
    /// The position of the next hour.
    position: usize,
    remaining: std::vec::IntoIter<Observation>,
}

impl Samples<'_> {
    /// Moves to the first sample at or after a unix second.
    fn seek(&mut self, second: i64) -> Result<(), HourError> {
        let [cut, _] = self.view.cuts_of_seconds(second, second)?;
        self.position = cut.position;
        self.read(cut.offset)
    }

    fn read(&mut self, offset: usize) -> Result<(), HourError> {
        let entries = self.view.index.entries();
        if let Some(entry) = entries.get(self.position) {
            if entry.node.summary.count > 0 || entry.node.damaged > 0 {
                let hour = self.view.hour(self.position)?;
                self.remaining = hour.observations(offset..hour.len()).into_iter();
            }
            self.position += 1;
        }
        Ok(())
    }

    /// Returns the first sample of a slot. Slots must be given in ascending order.
    fn first_of(&mut self, slot: Slot) -> Result<Option<Observation>, HourError> {
        loop {
            let Some(next) = self.remaining.as_slice().first() else {
                if self.position >= self.view.index.entries().len() {
                    return Ok(None);
                }
                self.read(0)?;
                continue;
            };
            if next.sample.timestamp.second() >= slot.end() {
                return Ok(None);
            }
            let next = self.remaining.next();
            if next.as_ref().is_some_and(|it| it.sample.timestamp.second() >= slot.start()) {
                return Ok(next);
            }
        }
    }
}
