//! How much of a range was recorded, which slots were missed and why.

use super::{MissedByReason, MissedReason};

/// Missed slots by reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MissedSlots {
    /// Slots with a recorded reason, in the order of [`MissedReason::ALL`].
    pub by_reason: MissedByReason,
    /// Slots without a recorded reason: no scheduler was running.
    pub not_scheduled: u64,
}

impl MissedSlots {
    /// `total` missed slots, for some of which a reason is recorded.
    pub fn new(total: u64, by_reason: MissedByReason) -> Self {
        Self { by_reason, not_scheduled: total.saturating_sub(by_reason.iter().sum()) }
    }

    /// The number of slots that were missed for a reason.
    pub fn count(&self, reason: MissedReason) -> u64 {
        self.by_reason.get(reason as usize).copied().unwrap_or_default()
    }

    /// The number of all missed slots.
    pub fn total(&self) -> u64 {
        self.by_reason.iter().sum::<u64>() + self.not_scheduled
    }
}

/// How much of a range was recorded: each expected slot is recorded, missed or pending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The slots that began in the range, from the first recorded slot of all until now.
    pub expected: u64,
    /// The slots with a sample.
    pub recorded: u64,
    /// The slots that ended without a sample.
    pub missed: MissedSlots,
    /// 1 if the current slot has no sample yet, else 0.
    pub pending: u64,
}

impl Coverage {
    /// The share of recorded slots among those that have ended, from 0 to 1; `None` if none has ended.
    pub fn share(&self) -> Option<f64> {
        let ended = self.expected - self.pending;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53 slots")]
        (ended > 0).then(|| self.recorded as f64 / ended as f64)
    }
}

/// Consecutive missed slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first unix second of the first missed slot.
    pub from: i64,
    /// The first unix second after the last missed slot.
    pub until: i64,
    /// The slots by reason.
    pub missed: MissedSlots,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_without_a_recorded_reason_were_not_scheduled() {
        let missed = MissedSlots::new(7, [1, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!((missed.not_scheduled, missed.total()), (4, 7));
        assert_eq!(missed.count(MissedReason::BadAnswer), 2);
        assert_eq!(missed.count(MissedReason::TooLate), 0);
    }

    #[test]
    fn more_reasons_than_missed_slots_leave_none_unscheduled() {
        let missed = MissedSlots::new(2, [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((missed.not_scheduled, missed.total()), (0, 3));
    }

    #[test]
    fn the_share_counts_only_slots_that_have_ended() {
        let coverage = |expected, recorded, pending| Coverage {
            expected,
            recorded,
            pending,
            ..Coverage::default()
        };
        assert_eq!(coverage(4, 3, 0).share(), Some(0.75));
        assert_eq!(coverage(5, 3, 1).share(), Some(0.75));
        assert_eq!(coverage(0, 0, 0).share(), None);
        assert_eq!(coverage(1, 0, 1).share(), None, "the only slot is still open");
    }
}
