//! The tree of summaries: which hours it finds, and which of them need their samples.

use std::cell::RefCell;

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{index_of, nothing, recorded, view},
    naive::Naive,
    samples::{at, samples},
};
use crate::{
    domain::TimeWeighted,
    history::index::{Index, Node},
};

const SECOND: i64 = 1_000_000;

/// Returns the time-weighted prices of the hours at some positions, and the positions of the hours whose
/// samples were needed.
fn weighted(
    index: &Index,
    positions: std::ops::Range<usize>,
    hold: i64,
) -> (TimeWeighted, Vec<usize>) {
    let read = RefCell::new(Vec::new());
    let of_hour = |position: usize| {
        read.borrow_mut().push(position);
        let view = view(index);
        let hour = view.hour(position).unwrap();
        Ok::<_, ()>(TimeWeighted::of(hold, hour.points(0..hour.len())))
    };
    let weighted = index.time_weighted(&positions, hold, &of_hour).unwrap();
    (weighted, read.into_inner())
}

#[test]
fn the_hour_of_a_rank_is_found_with_the_hours_before_it() {
    let index = index_of(samples().count(5 * 360));
    let found = |rank| {
        let found = index.find(|node| node.summary.count > rank);
        found.map(|(position, before)| (position, before.summary.count))
    };
    assert_eq!([0, 359].map(found), [Some((0, 0)); 2]);
    assert_eq!([360, 719].map(found), [Some((1, 360)); 2]);
    assert_eq!(found(1799), Some((4, 1440)));
    assert_eq!(found(1800), None);
    assert_eq!(nothing().index().find(|node| node.summary.count > 0), None);
}

#[test]
fn the_first_matching_hour_is_found_among_positions() {
    let index = index_of(at([(0.0, 5), (3600.0, 9), (7200.0, 2), (10_800.0, 9), (14_400.0, 1)]));
    let first = |positions: std::ops::Range<usize>, price: i64| {
        let has = |node: &Node| node.summary.extremes.is_some_and(|it| it.max >= price * 10_000);
        index.first(&positions, &has)
    };
    assert_eq!((first(0..5, 9), first(1..5, 9), first(2..5, 9)), (Some(1), Some(1), Some(3)));
    assert_eq!((first(0..1, 9), first(2..3, 9), first(4..5, 9)), (None, None, None));
    assert_eq!((first(0..5, 10), first(3..3, 9), first(4..5, 1)), (None, None, Some(4)));
}

#[test]
fn samples_are_needed_only_of_hours_with_a_pause_longer_than_hold() {
    let samples = samples().count(4 * 360).without(3600 + 10..3600 + 50);
    let index = index_of(samples);
    assert_eq!(weighted(&index, 0..4, 50 * SECOND).1, Vec::<usize>::new());
    assert_eq!(weighted(&index, 0..4, 49 * SECOND).1, [1]);
    assert_eq!(weighted(&index, 0..4, 10 * SECOND).1, [1]);
    assert_eq!(weighted(&index, 1..3, 9 * SECOND).1, [1, 2]);
    assert_eq!(weighted(&index, 2..4, 20 * SECOND).1, Vec::<usize>::new());
}

#[test]
fn a_failure_to_read_an_hour_is_returned() {
    let index = index_of(samples().every(100).count(3 * 36));
    let fail =
        |position: usize| if position == 1 { Err("lost") } else { Ok(TimeWeighted::none(1)) };
    assert_eq!(index.time_weighted(&(0..3), 1, &fail), Err("lost"));
    assert!(index.time_weighted(&(2..3), 1, &fail).is_ok());
}

#[test]
fn hours_without_samples_have_no_weight() {
    let index = recorded(at([(0.0, 3), (7200.0, 5)])).empty(1).index();
    let (found, read) = weighted(&index, 1..2, SECOND);
    assert_eq!((found, read), (TimeWeighted::none(SECOND), Vec::new()));
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn weights_of_hours_match_the_naive_model(
        recorded in arbitrary::recordings(), from in 0usize..7, count in 0usize..7,
        hold in 1i64..8000,
    ) {
        let index = recorded.index();
        let until = (from + count).min(index.entries().len());
        let from = from.min(until);
        let starts = index.entries()[from..until].iter().map(|entry| entry.start);
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let points = starts.flat_map(|start| naive.of_seconds(start, start + 3600).points);
        let expected = TimeWeighted::of(hold * SECOND, points);
        prop_assert_eq!(weighted(&index, from..until, hold * SECOND).0, expected);
    }

    #[test]
    fn hours_are_found_by_the_tree_as_by_a_search(
        recorded in arbitrary::recordings(), rank in 0u64..60, price in 1i64..8,
        from in 0usize..7, until in 0usize..7,
    ) {
        let index = recorded.index();
        let mut before = Node::default();
        let mut expected = None;
        for (position, entry) in index.entries().iter().enumerate() {
            let with = before.merge(entry.node, index.schedule());
            if with.summary.count > rank {
                expected = Some((position, before));
                break;
            }
            before = with;
        }
        prop_assert_eq!(index.find(|node| node.summary.count > rank), expected);
        let is_low = |node: &Node| {
            node.summary.extremes.is_some_and(|extremes| extremes.min < price * 10_000)
        };
        let entries = index.entries().iter().enumerate();
        let mut inside = entries.filter(|(position, _)| (from..until).contains(position));
        let first = inside.find(|(_, entry)| is_low(&entry.node)).map(|(position, _)| position);
        prop_assert_eq!(index.first(&(from..until), &is_low), first);
    }
}
