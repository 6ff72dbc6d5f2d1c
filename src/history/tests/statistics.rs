//! Statistics of ranges: the standard deviation, and when the price was lowest and highest.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, nothing, recorded, result, value},
    naive::Naive,
    samples::{BASE, at, between, point, samples, since},
};
use crate::{
    domain::{Summary, TimeRange},
    history::{History, Statistics},
};

const MINUTE: i64 = 60_000_000;
const NOW: i64 = BASE + 100_000;

fn statistics(history: &History, range: &TimeRange) -> Statistics {
    value(history.statistics(range, MINUTE, NOW))
}

#[test]
fn an_empty_range_has_no_statistics() {
    for history in [nothing().history(), history_of(at([(0.0, 1)]))] {
        let none = statistics(&history, &since(10.0));
        assert_eq!(none.summary, Summary::default());
        assert_eq!((none.standard_deviation, none.lowest, none.highest), (None, None, None));
    }
}

#[test]
fn the_standard_deviation_is_that_of_the_population() {
    let prices = [2, 4, 4, 4, 5, 5, 7, 9];
    let seconds = [0.0, 10.0, 20.0, 3599.0, 3600.0, 3610.0, 7200.0, 7210.0];
    let mut samples = [(0.0, 0); 8];
    for (sample, pair) in samples.iter_mut().zip(seconds.into_iter().zip(prices)) {
        *sample = pair;
    }
    let history = history_of(at(samples));
    assert_eq!(statistics(&history, &TimeRange::default()).standard_deviation, Some(2.0));
    let of_three = statistics(&history, &between(10.0, 3599.0));
    assert_eq!(of_three.standard_deviation, Some(0.0));
    assert_eq!(of_three.summary.count, 3);
}

#[test]
fn the_first_of_several_extreme_samples_is_returned() {
    let history = history_of(at([
        (0.0, 5),
        (10.0, 9),
        (20.0, 2),
        (30.0, 9),
        (3600.0, 2),
        (3610.0, 9),
        (7200.0, 2),
        (7210.0, 10),
        (7220.0, 1),
    ]));
    let extremes = |range| {
        let statistics = statistics(&history, &range);
        (statistics.lowest.unwrap(), statistics.highest.unwrap())
    };
    assert_eq!(extremes(between(0.0, 7200.0)), (point(20.0, 2), point(10.0, 9)));
    assert_eq!(extremes(between(11.0, 25.0)), (point(20.0, 2), point(20.0, 2)));
    assert_eq!(extremes(between(21.0, 7200.0)), (point(3600.0, 2), point(30.0, 9)));
    assert_eq!(extremes(between(3601.0, 7205.0)), (point(7200.0, 2), point(3610.0, 9)));
    assert_eq!(extremes(TimeRange::default()), (point(7220.0, 1), point(7210.0, 10)));
}

#[test]
fn only_hours_with_an_extreme_need_their_samples() {
    let mut samples: Vec<_> = samples().every(60).count(4 * 60).into();
    samples.extend(at([(14_400.0, 1), (14_410.0, 900_000)]));
    let history = recorded(samples.clone()).evicted(0..4).history();
    let found = statistics(&history, &TimeRange::default());
    assert_eq!(found.lowest, Some(point(14_400.0, 1)));
    assert_eq!(found.highest, Some(point(14_410.0, 900_000)));
}

#[test]
fn statistics_include_weights_and_coverage() {
    let history = history_of(samples().count(12).without(30..50));
    let found = statistics(&history, &between(0.0, 115.0));
    let range = between(0.0, 115.0);
    assert_eq!(found.time_weighted, value(history.weighted(&range, MINUTE, NOW)));
    assert_eq!((found.coverage.expected, found.coverage.recorded), (12, 10));
    assert_eq!(found.summary.count, 10);
}

#[test]
fn statistics_of_a_damaged_hour_fail() {
    let history = recorded(at([(0.0, 1), (7200.0, 2)])).damaged(1).history();
    assert!(result(history.statistics(&since(1.0), MINUTE, NOW)).is_err());
    assert!(
        result(history.statistics(&since(7200.0), MINUTE, NOW)).is_err(),
        "the price before it"
    );
    assert!(result(history.statistics(&between(0.0, 10.0), MINUTE, NOW)).is_ok());
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn statistics_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(),
    ) {
        let inside = Naive::of(&recorded.samples, &recorded.schedule).within(&range);
        let found = statistics(&recorded.history(), &range);
        prop_assert_eq!(found.summary, inside.summary());
        prop_assert_eq!(found.lowest, inside.lowest());
        prop_assert_eq!(found.highest, inside.highest());
        let expected = inside.standard_deviation();
        prop_assert_eq!(found.standard_deviation.is_some(), expected.is_some());
        let (found, expected) = (found.standard_deviation.unwrap_or(0.0), expected.unwrap_or(0.0));
        prop_assert!((found - expected).abs() <= expected * 1e-9 + 1e-4, "{found} {expected}");
    }
}
