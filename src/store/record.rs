//! Recording the sample of a slot.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, answer, hour_of, keys, once};
use crate::domain::Observation;

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("record.lua")));

/// What came of recording a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    Stored,
    /// Its slot has a sample already, which stays.
    SlotTaken,
    /// The text of its hour has been dropped: only an import can add samples there.
    HourClosed,
    /// It was not observed now, by the clock of Redis.
    NotCurrent,
}

impl Store {
    /// Records the one sample of a slot; the first one wins. O(log n).
    ///
    /// # Errors
    /// If Redis fails. It may have stored the sample even then: recording it again is safe.
    pub async fn record(&self, observation: &Observation) -> Result<Recorded, StoreError> {
        let Observation { sample, provenance } = observation;
        let second = sample.timestamp.second();
        let slot = self.slots.containing(second);
        let sources = provenance.iter().flat_map(|from| from.source.split('+'));
        let mut step = RECORD.key(keys::PRICES);
        step.key(keys::META).key(keys::CHANGES).key(keys::provenance(hour_of(second)));
        step.key(once::done()).key(&keys::MISSED[..]);
        for source in sources {
            step.key(format!("{}{source}", keys::SOURCE));
        }
        step.arg(second).arg(sample.member()).arg(slot.start()).arg(slot.end());
        step.arg(provenance.as_ref().map(ToString::to_string).unwrap_or_default());
        step.arg(keys::MISSED.len());
        let connection = &mut self.connection.clone();
        match answer("record a sample", step.invoke_async::<i64>(connection)).await? {
            1 => Ok(Recorded::Stored),
            0 => Ok(Recorded::SlotTaken),
            -1 => Ok(Recorded::HourClosed),
            _ => Ok(Recorded::NotCurrent),
        }
    }
}
