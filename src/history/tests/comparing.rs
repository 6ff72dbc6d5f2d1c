//! Comparing counts with those of Redis, to find changes that were made without a message.

use std::{sync::Arc, time::Duration};

use super::{
    fake_redis::FakeRedis,
    following::{UNLIMITED, count, forget, reads, refresh, server},
    histories::start_of,
    loading::blocks,
    samples::{BASE, sample},
};

#[test]
fn all_changes_are_lost_if_redis_has_fewer_than_before() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().record(&sample(5400.0, 7));
    refresh(&redis, &history);
    forget(&redis);
    redis.data().changes.clear();
    redis.data().prices.pop();
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1);
    assert_eq!(count(&redis, &history), 540);
}

#[test]
fn changes_that_have_not_arrived_are_awaited_until_the_next_comparison() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().record(&sample(5400.0, 7));
    redis.data().late = 1;
    refresh(&redis, &history);
    assert_eq!((count(&redis, &history), redis.data().loads), (540, 0));
    refresh(&redis, &history);
    assert_eq!((count(&redis, &history), redis.data().loads), (541, 1), "they were lost");
}

#[test]
fn changes_that_arrive_late_are_not_lost() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    for second in [5400.0, 5410.0] {
        redis.data().record(&sample(second, 7));
        redis.data().late = 1;
        refresh(&redis, &history);
        redis.data().late = 0;
        refresh(&redis, &history);
    }
    assert_eq!((count(&redis, &history), redis.data().loads), (542, 0));
}

#[test]
fn samples_that_were_added_without_a_message_are_found_in_their_hour() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().add(&sample(15.0, 7));
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 541);
    assert_eq!(redis.data().loads, 0);
    assert!(reads(&redis).contains(&0));
}

#[test]
fn samples_that_were_removed_without_a_message_are_found_in_their_hour() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().prices.remove(20);
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 539);
}

#[test]
fn samples_in_new_hours_are_found_without_a_message() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    for second in [-40_000_000.0, 900_000.0, 50_000_000.0] {
        redis.data().add(&sample(second, 7));
    }
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 543);
}

#[test]
fn a_member_that_has_moved_is_found_by_the_newest_score() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().prices.last_mut().unwrap().1 += 5.0;
    refresh(&redis, &history);
    let latest = redis.run(history.latest()).unwrap().value.unwrap();
    assert_eq!(latest.sample.timestamp.second(), BASE + 5395);
}

#[test]
fn hours_are_not_read_again_for_a_newest_member_that_is_no_sample() {
    let redis = server();
    redis.data().prices.push(("broken".to_owned(), 1_699_999_200.0 + 9000.0));
    let history = redis.loaded(UNLIMITED);
    refresh(&redis, &history);
    forget(&redis);
    refresh(&redis, &history);
    assert_eq!(reads(&redis), Vec::<i64>::new());
    assert_eq!(count(&redis, &history), 540);
}

#[test]
fn everything_is_loaded_again_if_blocks_were_changed_manually() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    forget(&redis);
    redis.data().blocks.insert(start_of(9), b"broken".to_vec());
    refresh(&redis, &history);
    assert_eq!(redis.data().loads, 1);
    assert_eq!(history.index().unwrap().all().blocks, 1);
}

#[test]
fn the_removal_of_all_samples_of_an_hour_is_found() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().prices.truncate(360);
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 360);
}

#[test]
fn the_removal_of_a_sample_that_was_added_to_a_dropped_hour_is_found() {
    let redis = FakeRedis::start(blocks(2));
    redis.data().add(&sample(15.0, 5));
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 721);
    redis.data().prices.clear();
    refresh(&redis, &history);
    assert_eq!(count(&redis, &history), 720);
}

#[test]
fn a_moved_member_is_found_together_with_changes_of_other_hours() {
    let redis = server();
    let history = redis.loaded(UNLIMITED);
    redis.data().prices.remove(20);
    redis.data().prices.last_mut().unwrap().1 += 5.0;
    refresh(&redis, &history);
    let latest = redis.run(history.latest()).unwrap().value.unwrap();
    assert_eq!(latest.sample.timestamp.second(), BASE + 5395);
    assert_eq!(count(&redis, &history), 539);
}

#[test]
fn counts_are_compared_about_once_a_second() {
    let redis = server();
    let history = Arc::new(redis.loaded(UNLIMITED));
    let following = Arc::clone(&history);
    redis.data().comparisons = 0;
    redis.run(async {
        let follower = tokio::spawn(async move { following.follow().await });
        tokio::time::sleep(Duration::from_millis(400)).await;
        let early = redis.data().comparisons;
        assert!(early <= 1, "{early} comparisons at once");
        redis.data().add(&sample(15.0, 7));
        tokio::time::timeout(Duration::from_secs(10), async {
            while history.size().samples < 541 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the manual change is found");
        follower.abort();
    });
}
