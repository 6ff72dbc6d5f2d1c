//! Coverage: which slots of a range were expected, recorded, missed or are still open.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{empty_history, history_of, nothing, recorded, result, value},
    naive::Naive,
    samples::{BASE, at, between, samples, since, until},
};
use crate::{
    domain::{Coverage, MissedByReason, MissedSlots, TimeRange, UnixTime},
    history::History,
};

/// Returns the expected, recorded, missed and pending slots of a range, as of a second after [`BASE`].
fn slots(history: &History, range: &TimeRange, now: i64) -> [u64; 4] {
    let coverage = value(history.coverage_without_reasons(range, BASE + now));
    [coverage.expected, coverage.recorded, coverage.missed.total(), coverage.pending]
}

#[test]
fn nothing_is_expected_before_the_first_sample() {
    let history = nothing().history();
    assert_eq!(value(history.coverage(&TimeRange::default(), BASE)), Coverage::default());
    let history = history_of(at([(95.0, 1)]));
    assert_eq!(slots(&history, &until(89.0), 200), [0; 4]);
    assert_eq!(slots(&history, &until(90.0), 200), [1, 1, 0, 0]);
    assert_eq!(slots(&history, &between(0.0, 100.0), 200), [2, 1, 1, 0]);
}

#[test]
fn slots_that_begin_in_the_range_count_as_a_whole() {
    let history = history_of(samples().count(10).without(20..30));
    assert_eq!(slots(&history, &between(10.0, 30.0), 200), [3, 2, 1, 0]);
    assert_eq!(slots(&history, &between(10.25, 30.0), 200), [2, 1, 1, 0]);
    assert_eq!(slots(&history, &between(11.0, 29.0), 200), [1, 0, 1, 0]);
    assert_eq!(slots(&history, &between(11.0, 19.0), 200), [0; 4]);
    assert_eq!(slots(&history, &since(91.0), 95), [0; 4]);
}

#[test]
fn the_open_slot_is_pending_until_it_has_a_sample() {
    let history = history_of(at([(0.0, 1), (25.0, 2)]));
    assert_eq!(slots(&history, &TimeRange::default(), 9), [1, 1, 0, 0]);
    assert_eq!(slots(&history, &TimeRange::default(), 10), [2, 1, 0, 1]);
    assert_eq!(slots(&history, &TimeRange::default(), 19), [2, 1, 0, 1]);
    assert_eq!(slots(&history, &TimeRange::default(), 29), [3, 2, 1, 0]);
    assert_eq!(slots(&history, &TimeRange::default(), 30), [4, 2, 1, 1]);
    assert_eq!(slots(&history, &since(30.0), 30), [1, 0, 0, 1]);
    assert_eq!(slots(&history, &since(31.0), 30), [0; 4]);
    assert_eq!(slots(&history, &until(19.0), 30), [2, 1, 1, 0]);
}

#[test]
fn several_samples_in_one_slot_record_it_once() {
    let history = history_of(at([(0.0, 1), (1.0, 2), (9.75, 3), (20.0, 4)]));
    assert_eq!(slots(&history, &TimeRange::default(), 30), [4, 2, 1, 1]);
}

#[test]
fn slots_of_changed_length_are_counted_by_their_own_length() {
    let history = recorded(samples().count(6)).slots([(0, 10), (60, 20)]).history();
    assert_eq!(slots(&history, &TimeRange::default(), 119), [6 + 3, 6, 2, 1]);
    assert_eq!(slots(&history, &between(50.0, 80.0), 119), [3, 1, 2, 0]);
}

#[test]
fn complete_coverage_needs_no_reasons() {
    let history = history_of(samples().count(10));
    let coverage = value(history.coverage(&TimeRange::default(), BASE + 99));
    assert_eq!((coverage.expected, coverage.recorded), (10, 10));
    assert_eq!(coverage.missed, MissedSlots::default());
}

#[test]
fn a_range_depends_on_samples_until_the_end_of_its_last_slot() {
    let history = history_of(samples().count(10));
    let end = |range: TimeRange, now| {
        history.end_of_slot(&range, BASE + now).map(|time| time.second() - BASE)
    };
    assert_eq!(end(until(42.5), 100), Some(49));
    assert_eq!(end(until(50.0), 100), Some(59));
    assert_eq!(end(until(1000.0), 105), Some(109));
    assert_eq!(end(since(0.0), 100), None);
    let loading = empty_history();
    assert_eq!(
        loading.end_of_slot(&until(42.5), BASE + 100),
        Some(UnixTime::from_seconds(BASE + 42))
    );
}

#[test]
fn whole_hours_are_covered_without_their_samples() {
    let history = recorded(samples().count(3 * 360)).evicted(0..3).history();
    assert_eq!(slots(&history, &between(3600.0, 7199.0), 20_000), [360, 360, 0, 0]);
    let damaged = recorded(samples()).damaged(2).history();
    assert!(result(damaged.coverage(&TimeRange::default(), BASE + 20_000)).is_err());
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn coverage_of_all_ranges_matches_the_naive_model(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(), later in 0i64..5000,
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let now = naive.points.last().map_or(BASE, |(at, _)| at.second()) + later;
        let slots = naive.slots_within(&range, now);
        let recorded_slots = slots.iter().filter(|(_, sample)| sample.is_some()).count() as u64;
        let is_pending = slots.last().is_some_and(|(slot, sample)| sample.is_none() && slot.end() > now);
        let (expected, pending) = (slots.len() as u64, u64::from(is_pending));
        let missed = MissedSlots::new(expected - recorded_slots - pending, MissedByReason::default());
        let coverage = value(recorded.history().coverage_without_reasons(&range, now));
        prop_assert_eq!(coverage, Coverage { expected, recorded: recorded_slots, missed, pending });
    }
}
