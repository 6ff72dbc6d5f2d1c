//! Following the changes of Redis, and reading hours that are not in memory.

use std::time::Duration;

use super::{
    fake_redis::{Data, FakeRedis},
    histories::start_of,
    loading::blocks,
    samples::{BASE, point, price_at, sample, sample_of, samples},
};
use crate::{
    domain::TimeRange,
    history::{Freshness, History},
};

pub(super) const UNLIMITED: usize = usize::MAX;

/// Returns a server with an hour and a half of samples in text form.
pub(super) fn server() -> FakeRedis {
    FakeRedis::start(Data::text(samples().count(540)))
}

pub(super) fn refresh(redis: &FakeRedis, history: &History) {
    redis.run(history.refresh()).unwrap();
}

pub(super) fn count(redis: &FakeRedis, history: &History) -> u64 {
    redis.run(history.total(&TimeRange::default())).unwrap().value.count
}

fn all(redis: &FakeRedis, history: &History) -> Vec<Option<String>> {
    let rows = redis.run(history.rows(0..1000)).unwrap().value;
    rows.iter().map(|row| row.source.as_deref().map(str::to_owned)).collect()
}

/// Forgets which hours were read, and how often everything was loaded.
pub(super) fn forget(redis: &FakeRedis) {
    let mut data = redis.data();
    data.reads.clear();
    data.loads = 0;
}

/// Returns the numbers of the hours that were read since they were forgotten.
pub(super) fn reads(redis: &FakeRedis) -> Vec<i64> {
    redis.data().reads.iter().map(|(from, _)| (from - BASE) / 3600).collect()
}

#[test]
fn a_recorded_sample_is_added_without_reading_its_hour() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    let observation = sample_of("one", 5400.0, 7);
    redis.data().record(&observation);
    refresh(&redis, &history);
    assert_eq!(redis.run(history.latest()).unwrap().value, Some(observation));
    assert_eq!(reads(&redis), Vec::<i64>::new());
    assert_eq!(redis.data().loads, 0);
    assert_eq!(count(&redis, &history), 541);
}

#[test]
fn a_sample_may_be_the_first_one_of_all_or_of_its_hour() {
    let redis = FakeRedis::start(Data::default());
    let history = redis.loaded(UNLIMITED);
    for second in [10.0, 7200.0, 3600.0] {
        redis.data().record(&sample(second, 1));
        refresh(&redis, &history);
    }
    assert_eq!(count(&redis, &history), 3);
    assert_eq!(redis.data().loads, 1);
}

#[test]
fn samples_that_arrive_out_of_order_are_sorted() {
    let redis = FakeRedis::start(Data::text(vec![sample_of("b", 20.0, 1)]));
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    for (source, second) in [("d", 40.0), ("a", 10.0), ("c", 30.0)] {
        redis.data().record(&sample_of(source, second, 1));
    }
    refresh(&redis, &history);
    let sources = ["a", "b", "c", "d"].map(|source| Some(source.to_owned()));
    assert_eq!(all(&redis, &history), sources);
    assert_eq!(reads(&redis), Vec::<i64>::new());
}

#[test]
fn an_added_sample_keeps_the_counts_of_its_hour() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().record(&sample(5400.0, 7));
    refresh(&redis, &history);
    let node = history.index().unwrap().all();
    assert_eq!((node.members, node.blocks, node.summary.count), (541, 0, 541));
    let index = history.index().unwrap();
    assert!(!index.entry(start_of(1)).unwrap().is_sealed);
}

#[test]
fn the_hour_of_a_sample_that_is_not_in_memory_is_read() {
    let redis = server();
    let history = redis.loaded(0);
    forget(&redis);
    redis.data().record(&sample(5400.0, 7));
    refresh(&redis, &history);
    assert_eq!(reads(&redis), [1]);
    assert_eq!(count(&redis, &history), 541);
}

#[test]
fn the_hour_of_a_second_sample_at_the_same_time_is_read_once() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().record(&sample(100.0, 7));
    redis.data().record(&sample(101.0, 7));
    redis.data().record(&sample(5400.0, 7));
    refresh(&redis, &history);
    assert_eq!(reads(&redis), [0]);
    assert_eq!(count(&redis, &history), 543);
}

#[test]
fn all_changes_are_applied_even_if_they_are_read_in_several_parts() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().most_changes = Some(2);
    for second in [5400.0, 5410.0, 5420.0, 5430.0, 5440.0] {
        redis.data().record(&sample(second, 7));
    }
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 545);
}

#[test]
fn a_change_that_was_loaded_already_is_not_applied_twice() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis
        .data()
        .changes
        .push(vec![("member", "5:1".to_owned()), ("score", (BASE + 10).to_string())]);
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 540);
    let price = redis.run(history.price_at(BASE + 10)).unwrap().value;
    assert_eq!(price, Some(point(10.0, price_at(10)).1));
}

#[test]
fn a_changed_hour_is_read() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    let mut data = redis.data();
    data.prices.remove(0);
    data.prices.pop();
    for hour in [1, 0, 1] {
        data.changes.push(vec![("hour", start_of(hour).to_string())]);
    }
    drop(data);
    refresh(&redis, &history);
    assert_eq!(reads(&redis), [0, 1]);
    assert_eq!(redis.data().loads, 0);
    assert_eq!(count(&redis, &history), 538);
}

#[test]
fn everything_is_loaded_again_if_a_change_affects_everything() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().changes.push(vec![("slots", String::new())]);
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1);
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1, "the change is applied once");
}

#[test]
fn everything_is_loaded_again_if_changes_were_lost() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    let mut data = redis.data();
    data.record(&sample(5400.0, 7));
    data.record(&sample(5410.0, 7));
    data.lost = 1;
    drop(data);
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1);
    assert_eq!(count(&redis, &history), 542);
}

#[test]
fn another_run_of_the_server_is_loaded_again() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.disconnect();
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 0, "the same run");
    redis.data().run += 1;
    redis.disconnect();
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1);
}

#[test]
fn those_who_wait_are_notified_of_changes_only() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    let mut changes = history.changes();
    refresh(&redis, &history);
    assert!(!changes.has_changed().unwrap());
    redis.data().record(&sample(5400.0, 7));
    refresh(&redis, &history);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    refresh(&redis, &history);
    assert!(!changes.has_changed().unwrap());
}

#[test]
fn a_sample_in_an_hour_with_a_block_keeps_the_count_of_blocks() {
    let mut data = Data::text(samples());
    data.blocks = blocks(1).blocks;
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().record(&sample(15.0, 7));
    refresh(&redis, &history);
    assert_eq!((count(&redis, &history), redis.data().loads), (361, 0));
    assert_eq!(history.index().unwrap().all().blocks, 1);
}

#[test]
fn a_sync_after_an_interruption_begins_a_new_period() {
    let redis = server();
    let since = |ago| {
        let history = redis.loaded(UNLIMITED).synced(ago, 0);
        history.state.write().synced_since = 7;
        refresh(&redis, &history);
        let synced_since = history.state.read().synced_since;
        (synced_since != 7).then(|| history.now() - synced_since)
    };
    assert_eq!(since(Duration::ZERO), None);
    assert!(since(Duration::from_secs(5)).is_some_and(|ago| (0..30).contains(&ago)));
}

#[test]
fn the_clock_of_uses_counts_the_seconds_with_a_sync() {
    let redis = server();
    let history = redis.loaded(UNLIMITED).synced(Duration::ZERO, 0);
    let before = history.state.read().now;
    refresh(&redis, &history);
    assert_eq!(history.state.read().now, before + 1);
}

#[test]
fn a_history_that_follows_is_current_and_notices_changes() {
    let redis = server();
    let history = std::sync::Arc::new(redis.history());
    let following = std::sync::Arc::clone(&history);
    let mut changes = history.changes();
    redis.run(async {
        let follower = tokio::spawn(async move { following.follow().await });
        while history.freshness() == Freshness::Loading {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        redis.data().record(&sample(5400.0, 7));
        tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
        redis.disconnect();
        redis.data().record(&sample(5410.0, 7));
        tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
        assert!(matches!(history.freshness(), Freshness::Current { .. }));
        follower.abort();
    });
}
