//! Counts, sums and summaries of ranges, and the ranks of their samples.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, index_of, nothing, recorded, result, start_of, value, view},
    naive::Naive,
    samples::{BASE, at, between, point, price_at, samples, since, until},
};
use crate::{
    domain::{Summary, TimeRange, Total, UnixTime},
    history::view::HourError,
};

#[test]
fn an_empty_history_has_empty_summaries() {
    let history = nothing().history();
    assert_eq!(value(history.summary(&TimeRange::default())), Summary::default());
    assert_eq!(value(history.total(&between(0.0, 10.0))), Total::default());
    assert_eq!(value(history.ranks(&TimeRange::default())), 0..0);
}

#[test]
fn one_sample_is_in_the_ranges_that_contain_its_time() {
    let history = history_of(at([(10.0, 7)]));
    let count = |range| value(history.total(&range)).count;
    for range in [between(10.0, 10.0), since(10.0), until(10.0), between(9.0, 11.0)] {
        assert_eq!(count(range), 1, "{range:?}");
    }
    for range in [between(0.0, 9.75), between(10.25, 20.0), since(11.0), until(9.0)] {
        assert_eq!(count(range), 0, "{range:?}");
    }
}

#[test]
fn a_range_before_or_after_all_samples_is_empty() {
    let history = history_of(samples());
    assert_eq!(value(history.ranks(&until(-1.0))), 0..0);
    assert_eq!(value(history.ranks(&since(3600.0))), 360..360);
    assert_eq!(value(history.summary(&since(1_000_000.0))), Summary::default());
}

#[test]
fn both_ends_of_a_range_are_inclusive() {
    let history = history_of(samples().every(10).count(6));
    let total = value(history.total(&between(10.0, 30.0)));
    let sum = [10, 20, 30].map(price_at).iter().sum::<u64>() * 10_000;
    assert_eq!(total, Total { count: 3, sum: sum.into() });
}

#[test]
fn a_range_may_end_at_the_border_of_an_hour() {
    let history = history_of(at([(3599.0, 1), (3599.75, 2), (3600.0, 4), (7199.0, 8)]));
    let sum = |range| value(history.total(&range)).sum / 10_000;
    assert_eq!(sum(until(3599.5)), 1);
    assert_eq!(sum(until(3599.75)), 3);
    assert_eq!(sum(until(3600.0)), 7);
    assert_eq!(sum(since(3600.0)), 12);
    assert_eq!(sum(between(3600.0, 7199.0)), 12);
    assert_eq!(sum(between(3599.75, 3600.0)), 6);
}

#[test]
fn a_summary_has_the_extremes_and_counts_slots_once() {
    let history = history_of(at([(0.0, 5), (1.0, 3), (9.0, 9), (40.0, 6)]));
    let summary = value(history.summary(&TimeRange::default()));
    assert_eq!((summary.count, summary.slots, summary.gaps), (4, 2, 1));
    let extremes = summary.extremes.unwrap();
    assert_eq!((extremes.min, extremes.max), (30_000, 90_000));
    assert_eq!((extremes.first, extremes.last), (point(0.0, 5), point(40.0, 6)));
}

#[test]
fn whole_hours_are_summarized_without_their_samples() {
    let history = recorded(samples().count(3 * 360)).evicted(0..3).history();
    assert_eq!(value(history.total(&TimeRange::default())).count, 1080);
    assert_eq!(value(history.total(&between(3600.0, 7199.0))).count, 360);
    assert_eq!(value(history.summary(&until(7190.0))).count, 720);
    assert_eq!(value(history.ranks(&since(7200.0))), 720..1080);
}

#[test]
fn a_part_of_an_evicted_hour_needs_its_samples() {
    let index = recorded(samples().count(3 * 360)).evicted([0, 2]).index();
    let evicted = |hour| Some(HourError::Evicted(start_of(hour)));
    assert_eq!(view(&index).total(&since(5.0)).err(), evicted(0));
    assert_eq!(view(&index).summary(&until(7205.0)).err(), evicted(2));
    assert_eq!(view(&index).ranks(&between(5.0, 7205.0)).err(), evicted(0));
    assert_eq!(view(&index).total(&between(3600.0, 7199.0)).unwrap().count, 360);
}

#[test]
fn ranges_that_touch_a_damaged_hour_fail() {
    let recorded = recorded(samples().count(3 * 360).without(3600..7200)).damaged(1);
    let (index, history) = (recorded.index(), recorded.history());
    let damaged = Err(HourError::Damaged(start_of(1)));
    for range in [
        TimeRange::default(),
        between(3600.0, 3601.0),
        between(0.0, 3600.0),
        between(7199.0, 7200.0),
        since(5000.0),
        until(7300.0),
    ] {
        assert_eq!(view(&index).total(&range), damaged, "{range:?}");
    }
    for range in [until(3599.0), since(7200.0), between(0.0, 3599.75)] {
        assert_eq!(view(&index).total(&range).unwrap().count, 360, "{range:?}");
    }
    let ranks = view(&index).ranks(&between(0.0, 3600.0));
    assert_eq!(ranks, Err(HourError::Damaged(start_of(1))));
    let before = view(&index).summary_of_seconds(BASE, start_of(1)).unwrap();
    assert_eq!(before.count, 360);
    let error = result(history.total(&TimeRange::default())).unwrap_err().to_string();
    assert!(error.contains(&format!("from unix second {} is damaged", start_of(1))), "{error}");
}

#[test]
fn hours_without_samples_change_nothing() {
    let parts = || at([(10.0, 1), (7300.0, 3), (7301.0, 5)]);
    let (with, without) = (recorded(parts()).empty(1).index(), index_of(parts()));
    for range in [between(10.0, 7300.0), between(3600.0, 7199.0), since(3601.0), until(7000.0)] {
        let summary = |index| view(index).summary(&range);
        assert_eq!(summary(&with), summary(&without), "{range:?}");
    }
}

#[test]
fn a_summary_of_seconds_excludes_the_last_second() {
    let index = index_of(at([(0.0, 1), (0.5, 2), (1.0, 4), (3600.0, 8)]));
    let sum = |from, until| {
        let summary = view(&index).summary_of_seconds(BASE + from, BASE + until).unwrap();
        summary.sum / 10_000
    };
    assert_eq!([sum(0, 1), sum(0, 2), sum(1, 3600), sum(1, 3601), sum(2, 2)], [3, 7, 4, 12, 0]);
    assert_eq!(sum(3600, 7200), 8);
    assert_eq!(sum(5, 0), 0, "an end before the beginning");
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn summaries_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(),
        ranges in prop::collection::vec(arbitrary::ranges(), 1..8),
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let (history, index) = (recorded.history(), recorded.index());
        for range in ranges {
            let expected = naive.within(&range).summary();
            prop_assert_eq!(value(history.summary(&range)), expected, "{:?}", range);
            prop_assert_eq!(value(history.total(&range)), expected.total(), "{:?}", range);
            let ranks = value(history.ranks(&range));
            prop_assert_eq!(ranks.end - ranks.start, expected.count);
            let from = range.since().map_or(BASE, UnixTime::second);
            prop_assert_eq!(
                view(&index).before_second(from).unwrap(),
                naive.of_seconds(i64::MIN, from).summary()
            );
            let until = range.until().map_or(BASE, UnixTime::second);
            prop_assert_eq!(
                view(&index).summary_of_seconds(from, until).unwrap(),
                naive.of_seconds(from, until).summary()
            );
        }
    }
}
