//! Batches: all samples of a range, in parts of whole hours.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, nothing, recorded, result, start_of, value},
    lists::points,
    naive::Naive,
    samples::{BASE, at, between, point, samples, since},
};
use crate::{
    domain::{Order, Point, TimeRange},
    history::{Batch, History},
};

const BOTH: [Order; 2] = [Order::Ascending, Order::Descending];

/// Returns all batches of a range: the number of samples of each, and the hour that the next one begins
/// with.
fn sizes(history: &History, range: &TimeRange, order: Order) -> Vec<(usize, Option<i64>)> {
    batches(history, range, order)
        .iter()
        .map(|batch| (batch.rows.len(), batch.next.map(|next| (next - BASE) / 3600)))
        .collect()
}

fn batches(history: &History, range: &TimeRange, order: Order) -> Vec<Batch> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let batch = value(history.batch(range, order, from));
        from = batch.next;
        all.push(batch);
        assert!(all.len() < 100, "the batches do not end");
        if from.is_none() {
            return all;
        }
    }
}

#[test]
fn an_empty_range_is_one_empty_batch() {
    for order in BOTH {
        assert_eq!(sizes(&nothing().history(), &TimeRange::default(), order), [(0, None)]);
        assert_eq!(sizes(&history_of(samples()), &since(5000.0), order), [(0, None)]);
    }
}

#[test]
fn a_batch_ends_at_the_end_of_the_hour_with_its_two_thousandth_sample() {
    let history = history_of(samples().count(14 * 360));
    let all = TimeRange::default();
    let ascending = [(2160, Some(6)), (2160, Some(12)), (720, None)];
    assert_eq!(sizes(&history, &all, Order::Ascending), ascending);
    let descending = [(2160, Some(7)), (2160, Some(1)), (720, None)];
    assert_eq!(sizes(&history, &all, Order::Descending), descending);
}

#[test]
fn exactly_two_thousand_samples_end_a_batch() {
    let history = history_of(samples().every(9).count(3 * 400));
    assert_eq!(sizes(&history, &TimeRange::default(), Order::Ascending), [(1200, None)]);
    let history = history_of(samples().every(9).count(8 * 400));
    let expected = [(2000, Some(5)), (1200, None)];
    assert_eq!(sizes(&history, &TimeRange::default(), Order::Ascending), expected);
    let expected = [(2000, Some(2)), (1200, None)];
    assert_eq!(sizes(&history, &TimeRange::default(), Order::Descending), expected);
}

#[test]
fn the_first_and_the_last_hour_are_cut_at_the_ends_of_the_range() {
    let history = history_of(at([(0.0, 1), (10.0, 2), (3600.0, 3), (7200.0, 4), (7210.0, 5)]));
    let of = |range, order| {
        let batch = value(history.batch(&range, order, None));
        assert_eq!(batch.next, None);
        points(&batch.rows)
    };
    let expected = [point(10.0, 2), point(3600.0, 3), point(7200.0, 4)];
    assert_eq!(of(between(5.0, 7200.0), Order::Ascending), expected);
    let reversed: Vec<Point> = expected.into_iter().rev().collect();
    assert_eq!(of(between(5.0, 7200.0), Order::Descending), reversed);
    assert_eq!(of(between(5.0, 20.0), Order::Descending), [point(10.0, 2)]);
    assert_eq!(of(between(0.0, 3599.0), Order::Descending), [point(10.0, 2), point(0.0, 1)]);
}

#[test]
fn a_batch_may_begin_with_an_hour_that_no_longer_exists() {
    let history = history_of(at([(0.0, 1), (3600.0, 2), (10_800.0, 3)]));
    let from = |hour, order| {
        points(&value(history.batch(&TimeRange::default(), order, Some(start_of(hour)))).rows)
    };
    assert_eq!(from(2, Order::Ascending), [point(10_800.0, 3)]);
    assert_eq!(from(2, Order::Descending), [point(3600.0, 2), point(0.0, 1)]);
    assert_eq!(from(1, Order::Ascending), [point(3600.0, 2), point(10_800.0, 3)]);
    assert_eq!(from(1, Order::Descending), [point(3600.0, 2), point(0.0, 1)]);
    assert_eq!(from(4, Order::Ascending), []);
    assert_eq!(from(-1, Order::Descending), []);
}

#[test]
fn a_batch_stays_within_the_range_whatever_it_begins_with() {
    let history = history_of(at([(0.0, 1), (3600.0, 2), (7200.0, 3), (10_800.0, 4)]));
    let range = between(3600.0, 7200.0);
    let from =
        |hour, order| points(&value(history.batch(&range, order, Some(start_of(hour)))).rows);
    assert_eq!(from(0, Order::Ascending), [point(3600.0, 2), point(7200.0, 3)]);
    assert_eq!(from(9, Order::Descending), [point(7200.0, 3), point(3600.0, 2)]);
}

#[test]
fn hours_without_samples_are_skipped() {
    let recorded = recorded(at([(0.0, 1), (7200.0, 2)])).empty(1).evicted([1]);
    for order in BOTH {
        assert_eq!(sizes(&recorded.history(), &TimeRange::default(), order), [(2, None)]);
    }
}

#[test]
fn hours_outside_of_the_range_need_no_samples() {
    let history = recorded(samples().count(3 * 360)).evicted([0, 2]).history();
    for order in BOTH {
        assert_eq!(sizes(&history, &between(3600.0, 7199.0), order), [(360, None)]);
    }
}

#[test]
fn a_batch_of_a_damaged_hour_fails() {
    let history = recorded(samples()).damaged(1).history();
    for order in BOTH {
        assert!(result(history.batch(&TimeRange::default(), order, None)).is_err());
        assert!(result(history.batch(&between(0.0, 3599.0), order, None)).is_ok());
    }
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn batches_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(), range in arbitrary::ranges(), order in arbitrary::orders(),
    ) {
        let history = recorded.history();
        let mut expected = Naive::of(&recorded.samples, &recorded.schedule).within(&range).points;
        order.sort(&mut expected);
        let found = batches(&history, &range, order);
        let rows: Vec<Point> = found.iter().flat_map(|batch| points(&batch.rows)).collect();
        prop_assert_eq!(rows, expected);
    }
}
