//! Means weighted by time: how long each price was valid.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, nothing, recorded, result, value},
    naive::Naive,
    samples::{BASE, at, between, samples, since, until},
};
use crate::{
    domain::TimeRange,
    history::{History, statistics::WeightedRange},
};

const SECOND: i64 = 1_000_000;

/// Returns the weights of a range, with a price valid for at most a minute, as of a second after [`BASE`].
fn weighted(history: &History, range: &TimeRange, now: i64) -> WeightedRange {
    value(history.weighted(range, 60 * SECOND, BASE + now))
}

/// Returns the valid seconds and the mean.
fn held(found: &WeightedRange) -> (i64, String) {
    (found.prices.covered / SECOND, found.prices.mean().to_string())
}

#[test]
fn an_empty_history_has_no_weight() {
    let found = weighted(&nothing().history(), &TimeRange::default(), 100);
    assert_eq!((found.count, found.length, found.share()), (0, 0, None));
    assert_eq!(held(&found), (0, "0.00".to_owned()));
    let found = weighted(&nothing().history(), &between(0.0, 50.0), 100);
    assert_eq!((found.length, found.share()), (50 * SECOND, Some(0.0)));
}

#[test]
fn a_price_is_valid_until_the_next_one_but_at_most_for_hold() {
    let history = history_of(at([(0.0, 10), (10.0, 20), (200.0, 30)]));
    let found = weighted(&history, &TimeRange::default(), 230);
    // 10 s of 10 pesos, 60 s of 20 pesos, 30 s of 30 pesos.
    assert_eq!(held(&found), (100, "22.00".to_owned()));
    assert_eq!((found.count, found.length), (3, 230 * SECOND));
    assert!((found.share().unwrap() - 100.0 / 230.0).abs() < 1e-12);
}

#[test]
fn the_price_before_the_range_is_valid_at_its_beginning() {
    let history = history_of(at([(3590.0, 10), (3620.0, 40)]));
    let found = weighted(&history, &between(3600.0, 3630.0), 100_000);
    assert_eq!(held(&found), (30, "20.00".to_owned()));
    assert_eq!((found.count, found.length), (1, 30 * SECOND));
    let between_samples = weighted(&history, &between(3595.0, 3605.0), 100_000);
    assert_eq!((between_samples.count, held(&between_samples)), (0, (10, "10.00".to_owned())));
    assert_eq!(held(&weighted(&history, &since(3700.0), 100_000)).0, 0);
}

#[test]
fn a_range_ends_now() {
    let history = history_of(at([(0.0, 10), (10.0, 20)]));
    for range in [TimeRange::default(), until(1000.0), between(0.0, 20.0)] {
        let found = weighted(&history, &range, 15);
        assert_eq!((held(&found).0, found.length), (15, 15 * SECOND), "{range:?}");
    }
    let future = weighted(&history, &between(30.0, 40.0), 15);
    assert_eq!((held(&future).0, future.length, future.share()), (0, 0, None));
}

#[test]
fn a_range_without_beginning_begins_with_the_first_sample() {
    let history = history_of(at([(100.5, 10), (110.0, 20)]));
    assert_eq!(weighted(&history, &until(120.5), 1000).length, 20 * SECOND);
    assert_eq!(weighted(&history, &between(90.0, 120.5), 1000).length, 30_500_000);
}

#[test]
fn whole_hours_without_long_pauses_need_no_samples() {
    let recorded = recorded(samples().count(5 * 360)).evicted([1, 2, 3]);
    let history = recorded.history();
    let found = weighted(&history, &between(10.0, 4.0 * 3600.0 + 5.0), 100_000);
    assert_eq!(held(&found).0, 4 * 3600 - 5);
    assert_eq!(found.count, 4 * 360);
    let range = since(0.0);
    let short = history.weighted(&range, 10 * SECOND, BASE + 100_000);
    assert!(result(short).is_ok(), "samples are exactly this far apart");
}

#[test]
fn a_damaged_hour_makes_weights_fail() {
    let history = recorded(samples()).damaged(2).history();
    assert!(result(history.weighted(&since(0.0), 1, BASE + 100_000)).is_err());
    assert!(result(history.weighted(&until(3599.0), 1, BASE + 100_000)).is_ok());
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn weights_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(), later in 0i64..5000,
        hold in prop_oneof![1i64..60, 60i64..8000],
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let now = naive.points.last().map_or(BASE, |(at, _)| at.second()) + 1 + later;
        let found = value(recorded.history().weighted(&range, hold * SECOND, now));
        let expected = naive.held(&range, hold * SECOND, now);
        prop_assert_eq!((found.prices.sum, found.prices.covered), expected, "{:?}", range);
        prop_assert_eq!(found.count, naive.within(&range).points.len() as u64);
    }
}
