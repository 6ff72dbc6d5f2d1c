//! The schedule of slots. The length of slots is configuration and may change: each length applies from a
//! second on, so one hour can have slots of different lengths.

use std::time::Duration;

use super::{Slot, Slots};

/// The lengths of slots and the times from which they apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The length that applies before the first change.
    first: Slots,
    /// Later lengths, each with the unix second from which it applies, oldest first.
    changes: Vec<(i64, Slots)>,
}

impl Schedule {
    /// Creates a schedule with slots of one length.
    pub fn new(slots: Slots) -> Self {
        Self { first: slots, changes: Vec::new() }
    }

    /// Creates a schedule from pairs of a unix second and the length in seconds that applies from it on, in
    /// any order. The earliest length also applies before its second. Returns `None` if there are no pairs,
    /// or if one of the lengths is invalid.
    pub fn from_changes(pairs: impl IntoIterator<Item = (i64, u64)>) -> Option<Self> {
        let slots = |(from, seconds)| Some((from, Slots::new(Duration::from_secs(seconds)).ok()?));
        let mut changes: Vec<(i64, Slots)> = pairs.into_iter().map(slots).collect::<Option<_>>()?;
        changes.sort_by_key(|(from, _)| *from);
        let first = changes.first()?.1;
        changes.remove(0);
        Some(Self { first, changes })
    }

    /// Returns the current length, which is the latest one.
    pub fn current(&self) -> Slots {
        self.changes.last().map_or(self.first, |(_, slots)| *slots)
    }

    /// Returns the length of the slots in the seconds `[from, until)`; `None` if there are several lengths.
    pub fn length_within(&self, from: i64, until: i64) -> Option<Duration> {
        let changes = |(at, _): &&(i64, Slots)| (from + 1..until).contains(at);
        let is_one = self.changes.iter().find(changes).is_none();
        is_one.then(|| self.applying(from).0.length())
    }

    /// Returns the slots that apply at a unix second, and the seconds from which and before which they apply.
    fn applying(&self, second: i64) -> (Slots, Option<i64>, Option<i64>) {
        let position = self.changes.partition_point(|(from, _)| *from <= second);
        let change = position.checked_sub(1).and_then(|at| self.changes.get(at));
        let next = self.changes.get(position).map(|(from, _)| *from);
        (change.map_or(self.first, |(_, slots)| *slots), change.map(|(from, _)| *from), next)
    }

    /// Returns the slot that contains a unix second. A slot ends early if another length starts to apply.
    pub fn slot(&self, second: i64) -> Slot {
        let (slots, since, until) = self.applying(second);
        slots.containing(second).within(since, until)
    }

    /// Returns how many slots begin in the seconds `[from, until)`.
    pub fn count(&self, from: i64, until: i64) -> u64 {
        if self.changes.is_empty() {
            return self.first.count(from, until);
        }
        let mut count = 0;
        let mut begin = from;
        let starts = self.changes.iter().map(|(from, _)| *from).chain([i64::MAX]);
        for (slots, end) in
            [self.first].into_iter().chain(self.changes.iter().map(|(_, slots)| *slots)).zip(starts)
        {
            if begin >= until {
                break;
            }
            let stop = end.min(until);
            if begin < stop {
                count += slots.count(begin, stop);
                begin = stop;
            }
        }
        count
    }

    /// Returns the start of the first slot that begins at or after a unix second.
    pub fn first_start(&self, second: i64) -> i64 {
        let slot = self.slot(second);
        if slot.start() == second { second } else { slot.end() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_hour_may_have_slots_of_different_lengths() {
        let schedule = Schedule::from_changes([(1800, 20), (0, 10)]).unwrap();
        assert_eq!(schedule.count(0, 3600), 180 + 90);
        assert_eq!(schedule.count(-3600, 0), 360, "the earliest length applies before it too");
        assert_eq!((schedule.slot(1799).start(), schedule.slot(1799).end()), (1790, 1800));
        assert_eq!((schedule.slot(1815).start(), schedule.slot(1815).end()), (1800, 1820));
        assert_eq!(
            [1790, 1791, 1800, 1801].map(|at| schedule.first_start(at)),
            [1790, 1800, 1800, 1820]
        );
        assert_eq!(schedule.current().length(), Duration::from_secs(20));
        assert_eq!(Schedule::from_changes([]), None);
        assert_eq!(Schedule::from_changes([(0, 0)]), None);
    }

    #[test]
    fn a_period_has_one_length_unless_it_changes_within() {
        let schedule = Schedule::from_changes([(0, 10), (1800, 20)]).unwrap();
        let seconds =
            |from, until| schedule.length_within(from, until).map(|length| length.as_secs());
        assert_eq!(seconds(0, 1800), Some(10));
        assert_eq!(seconds(1799, 1801), None);
        assert_eq!(seconds(1800, 3600), Some(20));
    }

    proptest! {
        /// Slots follow each other without gap or overlap, and are counted by their starts.
        #[test]
        fn slots_cover_all_time(
            first in 1u64..100, changes in prop::collection::vec((0i64..500, 1u64..100), 0..4),
            from in -200i64..700, length in 0i64..900,
        ) {
            // A length starts to apply at the start of one of its slots.
            let aligned = changes.iter().map(|&(from, seconds)| {
                (from.div_euclid(seconds.cast_signed()) * seconds.cast_signed(), seconds)
            });
            let mut pairs: Vec<(i64, u64)> = aligned.chain([(-1000, first)]).collect();
            pairs.sort_unstable();
            pairs.dedup_by_key(|(from, _)| *from);
            let schedule = Schedule::from_changes(pairs).unwrap();
            let (mut at, mut starts) = (schedule.slot(-300).start(), Vec::new());
            while at < 1800 {
                let slot = schedule.slot(at);
                prop_assert_eq!(slot.start(), at);
                prop_assert_eq!(schedule.slot(slot.end() - 1), slot);
                starts.push(at);
                at = slot.end();
            }
            let expected = starts.iter().filter(|&&start| (from..from + length).contains(&start));
            prop_assert_eq!(schedule.count(from, from + length), expected.count() as u64);
            let next = starts.iter().copied().find(|&start| start >= from).unwrap();
            prop_assert_eq!(schedule.first_start(from), next);
        }
    }
}
