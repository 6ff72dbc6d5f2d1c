//! Slots of time: each is recorded once, missed with a reason, or still open.

use std::time::Duration;

/// The division of time into slots of the same whole number of seconds, counted from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    seconds: i64,
}

/// A slot: the unix seconds `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    start: i64,
    seconds: i64,
}

/// The error for an invalid slot length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a slot length: give whole seconds from 1s to 1h, such as \"10s\"", humantime::format_duration(*.0))]
pub struct SlotsError(Duration);

impl Slots {
    /// Creates slots of the given length.
    ///
    /// # Errors
    /// Returns an error unless the length is a whole number of seconds from one second to one hour.
    pub fn new(every: Duration) -> Result<Self, SlotsError> {
        let seconds = i64::try_from(every.as_secs()).map_err(|_| SlotsError(every))?;
        if every.subsec_nanos() != 0 || !(1..=3600).contains(&seconds) {
            return Err(SlotsError(every));
        }
        Ok(Self { seconds })
    }

    /// Returns the slot that contains the given unix second.
    pub fn containing(self, unix_seconds: i64) -> Slot {
        Slot { start: unix_seconds.div_euclid(self.seconds) * self.seconds, seconds: self.seconds }
    }

    /// Returns how many slots begin in the seconds `[from, until)`.
    pub fn count(self, from: i64, until: i64) -> u64 {
        let before = |second: i64| second.saturating_sub(1).div_euclid(self.seconds);
        (before(until) - before(from)).max(0).unsigned_abs()
    }

    /// Returns the length of a slot.
    pub fn length(self) -> Duration {
        Duration::from_secs(self.seconds.unsigned_abs())
    }
}

impl Slot {
    /// Returns the first unix second of the slot, which also identifies the slot.
    pub fn start(self) -> i64 {
        self.start
    }

    /// Returns the first unix second after the slot.
    pub fn end(self) -> i64 {
        self.start + self.seconds
    }

    /// Returns the part of the slot in the seconds `[from, until)`; `None` leaves that end unchanged.
    #[must_use]
    pub fn within(self, from: Option<i64>, until: Option<i64>) -> Self {
        let start = from.map_or(self.start, |from| self.start.max(from));
        let end = until.map_or(self.end(), |until| self.end().min(until));
        Self { start, seconds: end - start }
    }

    /// Returns the next slot.
    #[must_use]
    pub fn next(self) -> Self {
        Self { start: self.end(), ..self }
    }

    /// Returns whether the slot contains the unix second.
    pub fn contains(self, unix_seconds: i64) -> bool {
        (self.start..self.end()).contains(&unix_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_starts_at_a_multiple_of_its_length() {
        let slots = Slots::new(Duration::from_secs(10)).unwrap();
        assert_eq!([slots.count(0, 30), slots.count(1, 31), slots.count(-10, 0)], [3, 3, 1]);
        assert_eq!([slots.count(5, 5), slots.count(1, 10), slots.count(30, 0)], [0, 0, 0]);
        let slot = slots.containing(1_717_184_864);
        assert_eq!((slot.start(), slot.end()), (1_717_184_860, 1_717_184_870));
        assert!(slot.contains(1_717_184_869) && !slot.contains(1_717_184_870));
        assert_eq!(slot.next(), slots.containing(1_717_184_870));
        assert_eq!(slots.containing(-1).start(), -10);
    }

    #[test]
    fn a_slot_length_is_a_number_of_whole_seconds_up_to_an_hour() {
        for wrong in [0, 500, 1_500, 3_601_000] {
            let error = Slots::new(Duration::from_millis(wrong)).unwrap_err();
            assert!(error.to_string().contains("whole seconds"), "{error}");
        }
        assert!(Slots::new(Duration::from_hours(1)).is_ok());
    }
}
