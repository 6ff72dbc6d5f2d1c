//! The memory limit: which hours are evicted, and that they are read again for queries.

use super::{
    fake_redis::{Data, FakeRedis},
    following::{UNLIMITED, count, forget, reads, refresh, server},
    histories::{history_of, recorded, start_of, value, view},
    index::check,
    samples::{between, sample, samples, since, time},
};
use crate::{
    domain::{Order, TimeRange},
    history::index::{Columns, Index},
};

fn sixteen_hours() -> (Index, usize) {
    let index = recorded(samples().every(60).count(16 * 60)).index();
    let size = index.entries()[0].bytes();
    assert_eq!(index.memory(), 16 * size);
    (index, size)
}

fn evicted(index: &Index) -> Vec<usize> {
    check(index);
    let entries = index.entries().iter().enumerate();
    entries.filter(|(_, entry)| entry.columns.is_none()).map(|(position, _)| position).collect()
}

#[test]
fn nothing_is_evicted_up_to_the_limit() {
    let (mut index, size) = sixteen_hours();
    index.evict(16 * size);
    assert_eq!(evicted(&index), Vec::<usize>::new());
    index.evict(usize::MAX);
    assert_eq!(evicted(&index), Vec::<usize>::new());
}

#[test]
fn an_eighth_of_the_limit_is_freed() {
    let (mut index, size) = sixteen_hours();
    index.evict(16 * size - 1);
    assert_eq!(evicted(&index), [0, 1]);
    index.evict(14 * size);
    assert_eq!(evicted(&index), [0, 1], "the limit is not exceeded");
}

#[test]
fn the_least_recently_used_hours_are_evicted_first() {
    let (mut index, size) = sixteen_hours();
    for (position, entry) in (0..).zip(index.entries()) {
        entry.columns.as_ref().unwrap().touch((position * 5 + 2) % 16);
    }
    index.evict(16 * size - 1);
    // (6 * 5 + 2) % 16 = 0, (3 * 5 + 2) % 16 = 1
    assert_eq!(evicted(&index), [3, 6]);
}

#[test]
fn a_query_marks_the_hours_whose_samples_it_reads_as_used() {
    let (mut index, size) = sixteen_hours();
    view(&index).total(&between(5.0, 1.5 * 3600.0)).unwrap();
    index.evict(16 * size - 1);
    assert_eq!(evicted(&index), [2, 3]);
}

#[test]
fn everything_is_evicted_without_memory() {
    let (mut index, _) = sixteen_hours();
    index.evict(0);
    assert_eq!(evicted(&index).len(), 16);
    assert_eq!(index.memory(), 0);
}

#[test]
fn keeping_an_hour_evicts_others_if_the_limit_is_exceeded() {
    let (mut index, size) = sixteen_hours();
    index.evict(16 * size - 1);
    let kept = recorded(samples().every(60).count(60)).entries().remove(0).columns.unwrap();
    let columns = Columns::new(kept.hour.clone());
    columns.touch(9);
    assert!(index.keep(start_of(0), &columns, 15 * size));
    assert_eq!(evicted(&index), [1]);
    assert!(index.keep(start_of(0), &columns, 15 * size - 1));
    assert_eq!(evicted(&index), [1, 2, 3]);
}

#[test]
fn a_history_reports_its_samples_and_their_memory() {
    let recorded = recorded(samples().count(2 * 360).without(0..10)).evicted([0]);
    let history = recorded.history();
    let size = history.size();
    assert_eq!((size.samples, size.memory), (719, recorded.index().memory()));
    assert_eq!((size.first, size.last), (Some(start_of(0) + 10), Some(start_of(2) - 10)));
}

#[test]
fn hours_that_were_read_for_a_query_are_used() {
    let index = recorded(samples().count(2 * 360)).evicted([0]).index();
    let columns = recorded(samples()).entries().remove(0).columns.unwrap();
    let fetched = [(start_of(0), columns)].into_iter().collect();
    let mut view = view(&index);
    view.fetched = &fetched;
    assert_eq!(view.total(&between(10.0, 20.0)).unwrap().count, 2);
}

#[test]
fn samples_that_match_are_kept_in_the_history() {
    let history = recorded(samples().count(2 * 360)).evicted([0]).history();
    let other = recorded(samples().count(1)).entries().remove(0).columns.unwrap();
    assert!(!history.keep(start_of(0), &other).unwrap());
    let columns = recorded(samples()).entries().remove(0).columns.unwrap();
    assert!(history.keep(start_of(0), &columns).unwrap());
    assert_eq!(value(history.total(&since(10.0))).count, 719);
    assert_eq!(history.size().memory, 2 * columns.hour.bytes());
}

#[test]
fn a_history_in_memory_answers_every_query_without_redis() {
    let history = history_of(samples().count(2 * 360));
    let range = between(5.0, 3700.0);
    assert_eq!(value(history.total(&range)).count, 370);
    assert_eq!(value(history.batch(&range, Order::Ascending, None)).rows.len(), 370);
    assert!(value(history.last_until(time(100.0))).is_some());
    assert_eq!(value(history.summary(&TimeRange::default())).count, 720);
}

#[test]
fn the_memory_limit_holds_after_each_change() {
    let redis = FakeRedis::start(Data::text(samples().count(10 * 360)));
    let unlimited = redis.loaded(UNLIMITED).size().memory;
    let limit = unlimited * 2 / 3;
    let history = redis.loaded(limit);
    assert!((1..=limit).contains(&history.size().memory));
    for number in 0..400_u32 {
        redis.data().record(&sample(36_000.0 + f64::from(number) * 25.0, 7));
    }
    refresh(&redis, &history);
    assert!((1..=limit).contains(&history.size().memory));
    for hour in 0..10 {
        redis.data().changes.push(vec![("hour", start_of(hour).to_string())]);
    }
    refresh(&redis, &history);
    assert!((1..=limit).contains(&history.size().memory));
    assert_eq!(count(&redis, &history), 4000);
}

#[test]
fn an_hour_that_is_not_in_memory_is_read_for_a_query_and_kept() {
    let redis = server();
    let history = redis.loaded(0);
    let mut history = history;
    history.limits.memory = UNLIMITED;
    forget(&redis);
    for _ in 0..2 {
        let total = redis.run(history.total(&since(100.0))).unwrap().value;
        assert_eq!(total.count, 530);
        assert_eq!(reads(&redis), [0]);
    }
}

#[test]
fn an_hour_that_keeps_differing_from_its_summary_makes_a_query_fail() {
    let redis = server();
    let history = redis.loaded(0);
    redis.data().prices.remove(50);
    forget(&redis);
    let error = redis.run(history.total(&since(100.0))).unwrap_err().to_string();
    assert!(error.contains("cannot read an hour"), "{error}");
    assert_eq!(reads(&redis).len(), 60);
}
