//! Gaps of a range and the reasons of their slots.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{
    arbitrary,
    fake_redis::{Data, FakeRedis},
    histories::{Recorded, nothing, recorded, result, value},
    naive::{Naive, chunk},
    samples::{BASE, at, between, samples, since, until},
};
use crate::{
    domain::{Candles, Gap, MissedReason, Order, PageNumber, PageSize, TimeRange, Zone},
    history::History,
};

/// Returns a history in sync whose store is a fake Redis.
fn history(recorded: &Recorded, redis: &FakeRedis) -> History {
    let (history, loaded) = (redis.history(), recorded.history());
    *history.state.write() = std::mem::take(&mut *loaded.state.write());
    history
}

fn size(size: u64) -> PageSize {
    size.to_string().parse().unwrap()
}

/// Returns all gaps of a range, as of a second after [`BASE`]: both ends as seconds after [`BASE`] and the
/// number of slots.
fn gaps(recorded: &Recorded, range: &TimeRange, now: i64) -> Vec<(i64, i64, u64)> {
    let redis = FakeRedis::start(Data::default());
    let history = history(recorded, &redis);
    let query = history.gaps(range, BASE + now, PageNumber::Number(1), size(100), Order::Ascending);
    let page = redis.run(query).unwrap().value.unwrap();
    assert_eq!(page.count, page.items.len() as u64);
    page.items.iter().map(|gap| (gap.from - BASE, gap.until - BASE, gap.missed.total())).collect()
}

#[test]
fn an_empty_history_has_one_empty_page_of_gaps() {
    let history = nothing().history();
    let page = |number| {
        let range = TimeRange::default();
        value(history.gaps(&range, BASE, PageNumber::Number(number), size(10), Order::Ascending))
    };
    assert_eq!(page(1).unwrap().items, []);
    assert_eq!(page(2), None);
}

#[test]
fn complete_samples_have_no_gap() {
    let history = recorded(samples().count(10)).history();
    let range = TimeRange::default();
    let page = history.gaps(&range, BASE + 105, PageNumber::Last, size(10), Order::Ascending);
    let page = value(page).unwrap();
    assert_eq!((page.count, page.number, page.pages, page.items), (0, 1, 1, Vec::new()));
}

#[test]
fn gaps_lie_between_samples_and_after_the_last_one() {
    let recorded = recorded(samples().count(20).without(20..40).without(60..70));
    assert_eq!(
        gaps(&recorded, &TimeRange::default(), 225),
        [(20, 40, 2), (60, 70, 1), (200, 220, 2)]
    );
    assert_eq!(gaps(&recorded, &until(199.0), 225), [(20, 40, 2), (60, 70, 1)]);
    assert_eq!(gaps(&recorded, &TimeRange::default(), 209), [(20, 40, 2), (60, 70, 1)]);
}

#[test]
fn gaps_are_cut_at_the_ends_of_the_range() {
    let recorded = recorded(at([(0.0, 1), (100.0, 2)]));
    assert_eq!(gaps(&recorded, &between(30.0, 1000.0), 100), [(30, 100, 7)]);
    assert_eq!(gaps(&recorded, &between(31.0, 65.0), 100), [(40, 70, 3)]);
    assert_eq!(gaps(&recorded, &until(50.0), 100), [(10, 60, 5)]);
    assert_eq!(gaps(&recorded, &since(100.0), 100), []);
}

#[test]
fn a_gap_may_span_hours() {
    let recorded = recorded(at([(0.0, 1), (7200.0, 2), (7220.0, 3)])).empty(1);
    assert_eq!(gaps(&recorded, &TimeRange::default(), 7225), [(10, 7200, 719), (7210, 7220, 1)]);
}

#[test]
fn slots_of_a_gap_are_counted_by_their_own_length() {
    let recorded = recorded(at([(0.0, 1), (3660.0, 2)])).slots([(0, 10), (3600, 20)]);
    assert_eq!(gaps(&recorded, &TimeRange::default(), 3665), [(10, 3660, 359 + 3)]);
}

#[test]
fn pages_of_gaps_count_from_the_oldest_or_the_newest() {
    let recorded = recorded(samples().every(20).count(5));
    let redis = FakeRedis::start(Data::default());
    let history = history(&recorded, &redis);
    let starts = |number, order| {
        let page = PageNumber::Number(number);
        let range = since(5.0);
        let query = history.gaps(&range, BASE + 95, page, size(2), order);
        let page = redis.run(query).unwrap().value?;
        assert_eq!((page.count, page.number, page.pages), (4, number, 2));
        Some(page.items.iter().map(|gap| gap.from - BASE).collect::<Vec<_>>())
    };
    assert_eq!(starts(1, Order::Ascending), Some(vec![10, 30]));
    assert_eq!(starts(2, Order::Ascending), Some(vec![50, 70]));
    assert_eq!(starts(1, Order::Descending), Some(vec![70, 50]));
    assert_eq!(starts(2, Order::Descending), Some(vec![30, 10]));
    assert_eq!(starts(3, Order::Descending), None);
}

#[test]
fn later_gaps_need_no_samples() {
    let recorded = recorded(samples().count(3 * 360).without(50..60).without(7250..7260));
    assert_eq!(gaps(&recorded.evicted([1, 2]), &until(3599.0), 20_000), [(50, 60, 1)]);
}

#[test]
fn gaps_in_damaged_hours_are_unknown() {
    let history = recorded(at([(0.0, 1), (7200.0, 2)])).damaged(1).history();
    let query = |range| {
        let page = PageNumber::Number(1);
        result(history.gaps(&range, BASE + 8000, page, size(2), Order::Ascending)).is_err()
    };
    assert!(query(TimeRange::default()) && query(until(7300.0)));
}

/// Returns data with the reasons of some slots.
fn reasons() -> Data {
    let mut data = Data::default();
    for (slot, reason) in [
        (10, MissedReason::TooLate),
        (20, MissedReason::BadAnswer),
        (50, MissedReason::TooLate),
        (60, MissedReason::Paused),
    ] {
        data.miss(BASE + slot, reason);
    }
    data
}

#[test]
fn gaps_and_coverage_have_the_reasons_of_their_slots() {
    let redis = FakeRedis::start(reasons());
    let history = history(&recorded(at([(0.0, 1), (40.0, 2), (90.0, 3)])), &redis);
    let range = until(80.0);
    let query = history.gaps(&range, BASE + 95, PageNumber::Number(1), size(9), Order::Descending);
    let gaps: Vec<Gap> = redis.run(query).unwrap().value.unwrap().items;
    let counts = |gap: &Gap| {
        let count = |reason| gap.missed.count(reason);
        (count(MissedReason::TooLate), count(MissedReason::BadAnswer), gap.missed.not_scheduled)
    };
    assert_eq!(gaps.iter().map(counts).collect::<Vec<_>>(), [(1, 0, 2), (1, 1, 1)]);
    let coverage = redis.run(history.coverage(&range, BASE + 95)).unwrap().value;
    assert_eq!((coverage.expected, coverage.recorded, coverage.missed.total()), (9, 2, 7));
    assert_eq!(
        (coverage.missed.count(MissedReason::TooLate), coverage.missed.not_scheduled),
        (2, 3)
    );
    let open = redis.run(history.coverage(&since(45.0), BASE + 85)).unwrap().value;
    assert_eq!((open.expected, open.pending, open.missed.total()), (4, 1, 3));
    let without = value(history.coverage_without_reasons(&range, BASE + 95));
    assert_eq!(without.missed.not_scheduled, 7);
}

#[test]
fn candles_have_the_reasons_of_their_missed_slots() {
    let redis = FakeRedis::start(reasons());
    let complete = [(0.0, 1), (10.0, 1), (20.0, 1), (40.0, 2), (90.0, 3)];
    let history = history(&recorded(at(complete)), &redis);
    let wanted = Candles {
        interval: "30s".parse().unwrap(),
        zone: Zone::UTC,
        filled: true,
        order: Order::Ascending,
        limit: 10,
    };
    let now = BASE + 75;
    let (mut candles, _) = value(history.candles(&until(80.0), &wanted, now));
    let missed: Vec<u64> = candles.iter().map(|candle| candle.missed).collect();
    assert_eq!(missed, [0, 2, 1]);
    redis.run(history.add_missed_reasons(&mut candles, now)).unwrap();
    let reasons: Vec<_> = candles.into_iter().map(|candle| candle.reasons.unwrap()).collect();
    assert_eq!(reasons[0].total(), 0);
    assert_eq!((reasons[1].count(MissedReason::TooLate), reasons[1].not_scheduled), (1, 1));
    assert_eq!((reasons[2].count(MissedReason::Paused), reasons[2].total()), (1, 1));
}

/// One server for all cases of the property.
static REDIS: LazyLock<FakeRedis> = LazyLock::new(|| FakeRedis::start(Data::default()));

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn gaps_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(), later in 0i64..5000,
        queries in prop::collection::vec(
            (arbitrary::ranges(), arbitrary::pages(), arbitrary::orders()), 1..8),
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let now = naive.points.last().map_or(BASE, |(at, _)| at.second()) + later;
        let (redis, history) = (&*REDIS, history(&recorded, &REDIS));
        for (range, (number, size), order) in queries {
            let page = redis.run(history.gaps(&range, now, number, size, order)).unwrap().value;
            let gap = |gap: &Gap| (gap.from, gap.until, gap.missed.total());
            let found = page.map(|page| page.items.iter().map(gap).collect::<Vec<_>>());
            let expected = chunk(naive.gaps(&range, now), number, size, order);
            prop_assert_eq!(found, expected, "{:?} {:?} {:?}", range, number, order);
        }
    }
}
