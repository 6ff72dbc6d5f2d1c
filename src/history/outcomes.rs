//! What became of each slot, one after the other: for clients that follow.

use std::collections::HashMap;

use super::{
    FRESH, History, HistoryError,
    view::{Miss, View},
};
use crate::domain::{Observation, Reason, Slot, UnixTime};

/// The seconds after its end at which a slot without a sample is missed: until then one may come.
const GRACE: i64 = 3;
/// The seconds after an outage of Redis in which others note why slots were missed.
const SETTLED: i64 = 5;

/// What became of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The slot.
    pub slot: Slot,
    /// Its sample; if it was missed, the reason, `None` if nobody tells it: it was not scheduled.
    pub result: Result<Observation, Option<Reason>>,
}

impl History {
    /// What became of the slots that begin at or after a unix second, oldest first, as far as it is
    /// known: the outcomes of at most `most` slots, up to the first one that is still open. Slots
    /// before the first one ever recorded are left out.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn outcomes(&self, from: i64, most: usize) -> Result<Vec<Outcome>, HistoryError> {
        let decided = self.decided()?;
        let until = Some(UnixTime::from_seconds(decided));
        let slots = self.ask(until, |view| view.slots(from, decided, most)).await?.value;
        let missed = slots.iter().filter(|(_, sample)| sample.is_none());
        let missed: Vec<Slot> = missed.map(|(slot, _)| *slot).collect();
        let reasons = match (missed.first(), missed.last()) {
            (Some(first), Some(last)) => self.store().reasons(first.start(), last.end()).await?,
            _ => HashMap::new(),
        };
        let outcome = |(slot, sample): (Slot, Option<Observation>)| {
            let result = sample.ok_or_else(|| reasons.get(&slot.start()).copied());
            Outcome { slot, result }
        };
        Ok(slots.into_iter().map(outcome).collect())
    }

    /// The unix second before which slots that have ended without a sample are missed for good.
    fn decided(&self) -> Result<i64, HistoryError> {
        let now = self.store().clock().unix_seconds();
        let state = self.state.read();
        let (at, known_until) = state.contact.ok_or(HistoryError::Loading)?;
        if at.elapsed() > FRESH {
            return Ok(known_until - GRACE);
        }
        let is_settled = now - state.contact_since >= SETTLED;
        Ok(if is_settled { now - GRACE } else { state.contact_since - SETTLED })
    }
}

impl View<'_> {
    /// Slots with their first samples, up to the first one that is still open.
    #[allow(clippy::type_complexity, reason = "taken apart at once")]
    fn slots(
        &self,
        from: i64,
        decided: i64,
        most: usize,
    ) -> Result<Vec<(Slot, Option<Observation>)>, Miss> {
        let schedule = self.index.schedule();
        let Some(all) = self.index.all().summary.extremes else { return Ok(Vec::new()) };
        let first = schedule.slot(all.first.0.second());
        let mut slot = schedule.slot(schedule.first_start(from.max(first.start())));
        let mut samples = Samples { view: self, position: 0, left: Vec::new().into_iter() };
        samples.seek(slot.start())?;
        let mut slots = Vec::new();
        while slots.len() < most {
            let sample = samples.of(slot)?;
            if sample.is_none() && slot.end() > decided {
                break;
            }
            slots.push((slot, sample));
            slot = schedule.slot(slot.end());
        }
        Ok(slots)
    }
}

/// Samples one after the other, read by the hour.
struct Samples<'a> {
    view: &'a View<'a>,
    /// The position of the hour that comes next.
    position: usize,
    left: std::vec::IntoIter<Observation>,
}

impl Samples<'_> {
    /// Begins with the first sample at or after a unix second.
    fn seek(&mut self, second: i64) -> Result<(), Miss> {
        let [cut, _] = self.view.cuts_of_seconds(second, second)?;
        self.position = cut.position;
        self.read(cut.offset)
    }

    fn read(&mut self, offset: usize) -> Result<(), Miss> {
        let entries = self.view.index.entries();
        if let Some(entry) = entries.get(self.position) {
            if entry.node.summary.count > 0 || entry.node.damaged > 0 {
                let hour = self.view.hour(self.position)?;
                self.left = hour.observations(offset..hour.len()).into_iter();
            }
            self.position += 1;
        }
        Ok(())
    }

    /// The first sample of a slot. Slots must be asked for in their order.
    fn of(&mut self, slot: Slot) -> Result<Option<Observation>, Miss> {
        loop {
            let Some(next) = self.left.as_slice().first() else {
                if self.position >= self.view.index.entries().len() {
                    return Ok(None);
                }
                self.read(0)?;
                continue;
            };
            if next.sample.timestamp.second() >= slot.end() {
                return Ok(None);
            }
            let next = self.left.next();
            if next.as_ref().is_some_and(|it| it.sample.timestamp.second() >= slot.start()) {
                return Ok(next);
            }
        }
    }
}
