//! Recording the sample of a slot.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, hour_of, keys, once, send};
use crate::domain::{MissedReason, Observation};

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("record.lua")));

/// The result of recording a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The sample was stored.
    Stored,
    /// The slot already has a sample, which is kept.
    SlotTaken,
    /// The text of the hour has been dropped: only an import can add samples there.
    HourClosed,
    /// The sample was not observed in the current slot, by the clock of Redis.
    NotCurrent,
}

impl Store {
    /// Records the one sample of a slot; the first one is kept. O(log n).
    ///
    /// # Errors
    /// Returns an error if Redis fails. The sample may be stored nevertheless: recording it again is safe.
    pub async fn record(&self, observation: &Observation) -> Result<Recorded, StoreError> {
        let Observation { sample, provenance } = observation;
        let second = sample.timestamp.second();
        let slot = self.slots.containing(second);
        let sources = provenance.iter().flat_map(|from| from.source.split('+'));
        let mut step = RECORD.key(keys::PRICES);
        step.key(keys::META).key(keys::CHANGES).key(keys::provenance(hour_of(second)));
        step.key(once::done_key()).key(&keys::all_missed()[..]);
        for source in sources {
            step.key(keys::source(source));
        }
        step.arg(second).arg(sample.member()).arg(slot.start()).arg(slot.end());
        step.arg(provenance.as_ref().map(ToString::to_string).unwrap_or_default());
        step.arg(MissedReason::ALL.len());
        let connection = &mut self.connection.clone();
        match send("record a sample", step.invoke_async::<i64>(connection)).await? {
            1 => Ok(Recorded::Stored),
            0 => Ok(Recorded::SlotTaken),
            -1 => Ok(Recorded::HourClosed),
            _ => Ok(Recorded::NotCurrent),
        }
    }
}
