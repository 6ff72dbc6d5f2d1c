//! Pages and lists of samples.

use proptest::prelude::*;

use super::{
    arbitrary,
    histories::{history_of, nothing, recorded, start_of, value, view},
    naive::Naive,
    samples::{at, between, point, sample, sample_of, samples, since, until},
};
use crate::{
    domain::{Order, PageNumber, PageSize, Point, TimeRange},
    history::{History, view::HourError},
    store::Row,
};

fn size(size: u64) -> PageSize {
    size.to_string().parse().unwrap()
}

pub(super) fn points(rows: &[Row]) -> Vec<Point> {
    rows.iter().map(|row| (row.timestamp, row.price)).collect()
}

fn page(history: &History, range: &TimeRange, number: u64, of: u64, order: Order) -> Vec<Point> {
    let page = value(history.page(range, PageNumber::Number(number), size(of), order)).unwrap();
    assert_eq!(page.number, number);
    points(&page.items)
}

#[test]
fn an_empty_history_has_one_empty_page() {
    let history = nothing().history();
    for number in [PageNumber::Number(1), PageNumber::Last] {
        let page = value(history.page(&since(0.0), number, size(10), Order::Descending)).unwrap();
        assert_eq!((page.count, page.number, page.pages, page.items), (0, 1, 1, Vec::new()));
    }
    assert_eq!(
        value(history.page(&since(0.0), PageNumber::Number(2), size(10), Order::Ascending)),
        None
    );
    assert_eq!(value(history.rows(0..10)), Vec::new());
}

#[test]
fn pages_count_from_the_oldest_or_the_newest_sample() {
    let history = history_of(at([(0.0, 1), (10.0, 2), (3600.0, 3), (3610.0, 4), (7200.0, 5)]));
    let all = TimeRange::default();
    let ascending = |number| page(&history, &all, number, 2, Order::Ascending);
    let descending = |number| page(&history, &all, number, 2, Order::Descending);
    assert_eq!(ascending(1), [point(0.0, 1), point(10.0, 2)]);
    assert_eq!(ascending(2), [point(3600.0, 3), point(3610.0, 4)]);
    assert_eq!(ascending(3), [point(7200.0, 5)]);
    assert_eq!(descending(1), [point(7200.0, 5), point(3610.0, 4)]);
    assert_eq!(descending(3), [point(0.0, 1)]);
}

#[test]
fn the_last_page_has_the_rest() {
    let history = history_of(samples());
    let range = until(3590.0);
    let last = value(history.page(&range, PageNumber::Last, size(100), Order::Ascending)).unwrap();
    assert_eq!((last.count, last.number, last.pages, last.items.len()), (360, 4, 4, 60));
}

#[test]
fn a_page_past_the_last_one_does_not_exist() {
    let history = history_of(samples().count(20));
    let page = |number| {
        let (range, number) = (since(0.0), PageNumber::Number(number));
        value(history.page(&range, number, size(10), Order::Ascending)).is_some()
    };
    assert_eq!([1, 2, 3].map(page), [true, true, false]);
}

#[test]
fn a_page_needs_only_the_hours_of_its_samples() {
    let recorded = recorded(samples().count(4 * 360)).evicted([0, 1, 3]);
    let (index, history) = (recorded.index(), recorded.history());
    let third = page(&history, &TimeRange::default(), 3, 360, Order::Ascending);
    assert_eq!(third.len(), 360);
    assert_eq!(third[0].0.second(), start_of(2));
    let second = view(&index).page(&since(0.0), PageNumber::Number(2), size(360), Order::Ascending);
    assert_eq!(second, Err(HourError::Evicted(start_of(1))));
}

#[test]
fn samples_of_the_same_second_keep_their_order() {
    let history = history_of(at([(5.0, 3), (5.0, 1), (5.0, 2), (5.5, 9)]));
    let prices = |order| {
        let page = page(&history, &between(5.0, 5.0), 1, 10, order);
        page.iter().map(|(_, price)| price / 10_000).collect::<Vec<_>>()
    };
    assert_eq!(prices(Order::Ascending), [3, 1, 2]);
    assert_eq!(prices(Order::Descending), [2, 1, 3]);
}

#[test]
fn a_row_has_the_source_of_its_sample() {
    let samples =
        vec![sample_of("one", 0.0, 1), sample(1.0, 2), sample_of("two", 2.0, 3), sample(3600.0, 4)];
    let rows = value(history_of(samples).rows(0..4));
    let sources: Vec<_> = rows.iter().map(|row| row.source.as_deref()).collect();
    assert_eq!(sources, [Some("one"), None, Some("two"), None]);
}

#[test]
fn rows_of_ranks_may_begin_and_end_within_hours() {
    let history = recorded(samples().count(3 * 360)).empty(5).history();
    let seconds = |ranks| {
        let rows = value(history.rows(ranks));
        rows.iter().map(|row| row.timestamp.second() - start_of(0)).collect::<Vec<_>>()
    };
    assert_eq!(seconds(359..362), [3590, 3600, 3610]);
    assert_eq!(seconds(1079..2000), [10_790]);
    assert_eq!(seconds(360..360), Vec::<i64>::new());
    assert_eq!(seconds(1080..1090), Vec::<i64>::new());
    assert_eq!(seconds(0..1080).len(), 1080);
}

#[test]
fn hours_are_visited_only_if_they_have_wanted_samples() {
    let samples = samples().count(4 * 360).without(3600..7200);
    let index = recorded(samples).empty(1).evicted([0, 3]).index();
    let visited = |ranks| {
        let mut hours = Vec::new();
        let result = view(&index)
            .for_each_hour(ranks, |hour, part| hours.push((hour.start() - start_of(0), part)));
        result.map(|()| hours)
    };
    assert_eq!(visited(360..720), Ok(vec![(7200, 0..360)]));
    assert_eq!(visited(400..401), Ok(vec![(7200, 40..41)]));
    assert_eq!(visited(359..400), Err(HourError::Evicted(start_of(0))));
    assert_eq!(visited(719..721), Err(HourError::Evicted(start_of(3))));
    assert_eq!(visited(0..0), Ok(vec![]));
}

#[test]
fn hours_without_samples_are_not_visited() {
    let samples = samples().count(3 * 360).without(3600..7200);
    let index = recorded(samples).empty(1).evicted([1]).index();
    let mut hours = Vec::new();
    let visit = view(&index).for_each_hour(359..361, |hour, part| hours.push((hour.start(), part)));
    assert_eq!(visit, Ok(()));
    assert_eq!(hours, [(start_of(0), 359..360), (start_of(2), 0..1)]);
}

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn pages_of_all_ranges_match_the_naive_model(
        recorded in arbitrary::recordings(),
        queries in prop::collection::vec(
            (arbitrary::ranges(), arbitrary::pages(), arbitrary::orders()), 1..8),
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let history = recorded.history();
        for (range, (number, size), order) in queries {
            let page = value(history.page(&range, number, size, order));
            let expected = naive.within(&range).page(number, size, order);
            let found = page.as_ref().map(|page| (points(&page.items), page.number, page.pages));
            prop_assert_eq!(found, expected, "{:?} {:?} {:?} {:?}", range, number, size, order);
        }
    }

    #[test]
    fn rows_of_ranks_match_the_naive_model(
        recorded in arbitrary::recordings(), first in 0usize..60, count in 0usize..60,
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let rows = value(recorded.history().rows(first as u64..(first + count) as u64));
        let expected: Vec<Point> = naive.points.into_iter().skip(first).take(count).collect();
        prop_assert_eq!(points(&rows), expected);
    }
}
