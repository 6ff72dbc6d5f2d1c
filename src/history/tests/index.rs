//! The hours of an index: their order, their positions, and how they are replaced.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{index_of, nothing, recorded, start_of},
    samples::{at, samples, score},
};
use crate::history::index::{Columns, Entry, Index, Node};

fn starts(index: &Index) -> Vec<i64> {
    index.entries().iter().map(|entry| (entry.start - start_of(0)) / 3600).collect()
}

/// Returns the entry of an hour with some samples, one every 10 s.
fn hour(number: i64, samples_in_it: i64) -> Entry {
    let samples = samples().from(number * 3600).count(samples_in_it);
    recorded(samples).entries().pop().unwrap()
}

/// Checks that the tree and the size of an index match its entries.
pub(super) fn check(index: &Index) {
    let entries = index.entries();
    assert!(entries.is_sorted_by(|one, other| one.start < other.start), "{:?}", starts(index));
    assert_eq!(index.memory(), entries.iter().map(Entry::bytes).sum::<usize>());
    for from in 0..=entries.len() {
        let mut node = Node::default();
        for until in from..=entries.len() {
            assert_eq!(index.sum(from..until), node, "{from}..{until}");
            assert_eq!(index.summary(from..until), node.summary, "{from}..{until}");
            assert_eq!(index.total(from..until), node.summary.total(), "{from}..{until}");
            if let Some(entry) = entries.get(until) {
                node = node.merge(entry.node, index.schedule());
            }
        }
        if from == 0 {
            assert_eq!(index.all(), node);
        }
    }
}

#[test]
fn an_index_without_hours_is_empty() {
    let index = nothing().index();
    check(&index);
    assert_eq!((index.entries().len(), index.memory()), (0, 0));
    assert_eq!(index.all(), Node::default());
}

#[test]
fn hours_are_sorted_and_empty_ones_are_dropped() {
    let mut entries = vec![hour(5, 1), hour(0, 2), hour(3, 3), hour(7, 1)];
    entries[3].node = Node::default();
    let index = Index::new(nothing().schedule.into(), entries);
    assert_eq!(starts(&index), [0, 3, 5]);
    check(&index);
}

#[test]
fn an_hour_with_members_but_no_sample_is_kept() {
    assert_eq!(starts(&recorded(at([(0.0, 1)])).empty(2).index()), [0, 2]);
}

#[test]
fn an_hour_is_found_by_its_first_second() {
    let index = index_of(at([(0.0, 1), (7200.0, 2)]));
    let found = |second| index.entry(start_of(0) + second).map(|entry| entry.node.summary.count);
    assert_eq!([0, 3600, 7200, 7201, 10_800].map(found), [Some(1), None, Some(1), None, None]);
}

#[test]
fn a_node_adds_members_blocks_and_damage() {
    let node = |members, blocks, damaged| Node { members, blocks, damaged, ..Node::default() };
    let sum = node(1, 2, 3).merge(node(10, 20, 30), &nothing().schedule);
    assert_eq!(sum, node(11, 22, 33));
}

#[test]
fn the_node_of_several_hours_counts_a_gap_and_a_pause_between_them() {
    let index = index_of(at([(3590.0, 2), (7200.0, 3)]));
    let node = index.all();
    assert_eq!((node.summary.gaps, node.summary.slots), (1, 2));
    assert_eq!(node.spread.longest_pause, 3610 * 1_000_000);
    assert_eq!(node.spread.weighted_sum, 20_000 * 3610 * 1_000_000);
}

#[test]
fn the_position_of_a_score_is_that_of_the_first_hour_that_ends_after_it() {
    let index = index_of(at([(0.0, 1), (7200.0, 2)]));
    let position = |second| index.position_at(score(second));
    assert_eq!([-1.0, 0.0, 3599.75, 3600.0, 7199.0].map(position), [0, 0, 0, 1, 1]);
    assert_eq!([7200.0, 10_799.5, 10_800.0].map(position), [1, 1, 2]);
}

#[test]
fn a_hint_does_not_change_the_position_at_the_end_of_an_hour() {
    let index = index_of(at([(0.0, 1), (3600.0, 2), (10_800.0, 3)]));
    for second in [-1.0, 0.0, 3599.0, 3600.0, 7200.0, 10_800.0, 14_400.0] {
        for hint in 0..5 {
            let (near, exact) =
                (index.position_near(hint, score(second)), index.position_at(score(second)));
            assert_eq!(near, exact, "{second} from {hint}");
        }
    }
}

#[test]
fn an_hour_is_replaced_in_place() {
    let mut index = Index::new(nothing().schedule.into(), vec![hour(0, 1), hour(1, 2), hour(2, 3)]);
    let place = index.entries().as_ptr();
    index.put(vec![hour(1, 300)]);
    assert_eq!(index.entries().as_ptr(), place);
    assert_eq!(index.all().summary.count, 304);
    check(&index);
}

#[test]
fn a_new_last_hour_is_added_in_place() {
    for hours in 1..=8 {
        let mut entries = Vec::with_capacity(20);
        entries.extend((0..hours).map(|number| hour(number, 1)));
        let mut index = Index::new(nothing().schedule.into(), entries);
        let place = index.entries().as_ptr();
        index.put(vec![hour(hours + 2, 5)]);
        assert_eq!(index.entries().as_ptr(), place, "after {hours} hours");
        check(&index);
    }
}

#[test]
fn many_new_hours_can_be_added_one_by_one() {
    let mut index = nothing().index();
    for number in 0..20 {
        index.put(vec![hour(number, 1 + number)]);
        assert_eq!(index.entries().len() as u64, number.unsigned_abs() + 1);
        check(&index);
    }
}

#[test]
fn an_earlier_hour_is_inserted() {
    let mut index = index_of(at([(3600.0, 1), (10_800.0, 2)]));
    index.put(vec![hour(2, 5)]);
    index.put(vec![hour(0, 7)]);
    assert_eq!(starts(&index), [0, 1, 2, 3]);
    check(&index);
}

#[test]
fn an_hour_that_has_become_empty_is_removed() {
    let mut index = index_of(samples().count(3 * 360));
    index.put(vec![Entry { node: Node::default(), columns: None, ..hour(1, 1) }]);
    assert_eq!(starts(&index), [0, 2]);
    check(&index);
}

#[test]
fn several_hours_are_replaced_added_and_removed_at_once() {
    let mut index = index_of(samples().count(3 * 360));
    let empty = Entry { node: Node::default(), columns: None, ..hour(0, 1) };
    index.put(vec![hour(7, 2), empty, hour(2, 5)]);
    assert_eq!(starts(&index), [1, 2, 7]);
    assert_eq!(index.all().summary.count, 360 + 5 + 2);
    check(&index);
}

#[test]
fn the_size_of_an_hour_counts_only_in_memory() {
    let entry = hour(0, 100);
    let size = entry.columns.as_ref().unwrap().hour.bytes();
    assert_eq!(entry.bytes(), size);
    assert_eq!(Entry { columns: None, ..entry }.bytes(), 0);
    let recorded = recorded(samples().count(2 * 360));
    let (all, one) = (recorded.index().memory(), recorded.evicted([0]).index().memory());
    assert_eq!(all, 2 * one);
    assert!(one > 0);
}

#[test]
fn the_samples_of_an_hour_are_kept_if_they_match_its_summary() {
    let mut index = recorded(samples().count(3 * 360)).evicted([0, 1]).index();
    let columns = |entry: Entry| Columns::new(entry.columns.unwrap().hour.clone());
    assert!(index.keep(start_of(1), &columns(hour(1, 360)), usize::MAX));
    assert!(index.entries()[1].columns.is_some() && index.entries()[0].columns.is_none());
    check(&index);
    assert!(!index.keep(start_of(0), &columns(hour(0, 359)), usize::MAX), "other samples");
    assert!(!index.keep(start_of(0), &columns(hour(1, 360)), usize::MAX), "another hour");
    assert!(!index.keep(start_of(3), &columns(hour(3, 360)), usize::MAX), "an unknown hour");
    assert!(index.entries()[0].columns.is_none());
    check(&index);
}

#[test]
fn samples_may_not_be_kept_for_an_hour_that_does_not_exist() {
    let mut index = recorded(at([(0.0, 1), (7200.0, 1)])).evicted([1]).index();
    let columns = hour(2, 1).columns.unwrap();
    assert!(!index.keep(start_of(1), &columns, usize::MAX));
}

#[test]
fn samples_that_are_kept_again_count_once() {
    let mut index = index_of(samples());
    let before = index.memory();
    let columns = Columns::new(index.entries()[0].columns.as_ref().unwrap().hour.clone());
    assert!(index.keep(start_of(0), &columns, usize::MAX));
    assert_eq!(index.memory(), before);
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn a_position_does_not_depend_on_the_hint(
        recorded in arbitrary::recordings(), second in arbitrary::second(), hint in 0usize..8,
    ) {
        let index = recorded.index();
        let score = score(second);
        prop_assert_eq!(index.position_near(hint, score), index.position_at(score));
        #[allow(clippy::cast_precision_loss, reason = "exact for unix seconds")]
        let ends_after = |entry: &Entry| (entry.start + 3600) as f64 > score;
        let position = index.entries().iter().position(ends_after);
        prop_assert_eq!(index.position_at(score), position.unwrap_or(index.entries().len()));
    }

    #[test]
    fn an_index_after_changes_equals_a_new_one(
        changes in prop::collection::vec(
            prop::collection::vec((0i64..12, 0i64..5), 1..4), 1..12),
    ) {
        let mut index = nothing().index();
        let mut expected = std::collections::BTreeMap::new();
        for hours in changes {
            let hours: std::collections::BTreeMap<i64, i64> = hours.into_iter().collect();
            let entry = |(number, count): (&i64, &i64)| match count {
                0 => Entry { node: Node::default(), columns: None, ..hour(*number, 1) },
                count => hour(*number, *count),
            };
            index.put(hours.iter().map(entry).collect());
            expected.extend(hours);
            expected.retain(|_, count| *count > 0);
            check(&index);
            let counts: Vec<u64> =
                index.entries().iter().map(|entry| entry.node.summary.count).collect();
            let wanted: Vec<u64> = expected.values().map(|count| count.unsigned_abs()).collect();
            prop_assert_eq!(counts, wanted);
        }
    }
}
