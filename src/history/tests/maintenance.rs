//! Maintenance: which hours are sealed, dropped and deleted, and what an operator can check and repair.

use std::time::Duration;

use super::{
    fake_redis::{Data, FakeRedis},
    histories::start_of,
    loading::{block, blocks},
    samples::{BASE, sample, samples},
};
use crate::{
    domain::TimeRange,
    history::{History, Maintained, Retention},
    store::HOUR,
};

/// Returns a server with some hours of samples in text form, and its history.
fn text(hours: i64) -> (FakeRedis, History) {
    let redis = FakeRedis::start(Data::text(samples().count(hours * 360)));
    let history = redis.loaded(usize::MAX);
    (redis, history)
}

/// Returns how many hours are sealed, dropped and deleted as of a second after [`BASE`], if text and
/// samples are kept for some hours.
fn maintain(
    (redis, history): &(FakeRedis, History),
    now: i64,
    text: Option<u64>,
    samples: Option<u64>,
) -> [usize; 3] {
    let hours = |hours: Option<u64>| hours.map(|hours| Duration::from_secs(hours * 3600));
    let retention = Retention { text: hours(text), samples: hours(samples) };
    let maintained = redis.run(history.maintain(BASE + now, retention)).unwrap();
    let Maintained { sealed, dropped, deleted } = maintained;
    [sealed, dropped, deleted]
}

/// Checks that maintenance neither reads nor writes an hour, because nothing is to be done.
fn redis_does_nothing(server: &(FakeRedis, History), now: i64) {
    let changes = server.0.data().changes.len();
    maintain(server, now, Some(2), None);
    server.0.data().reads.clear();
    assert_eq!(maintain(server, now, Some(2), None), [0, 0, 0]);
    assert_eq!(server.0.data().changes.len(), changes, "nothing is written");
    assert_eq!(server.0.data().reads, []);
}

fn block_hours(redis: &FakeRedis) -> Vec<i64> {
    redis.data().blocks.keys().map(|start| (start - BASE) / HOUR).collect()
}

fn count(redis: &FakeRedis, history: &History) -> u64 {
    redis.run(history.refresh()).unwrap();
    redis.run(history.total(&TimeRange::default())).unwrap().value.count
}

#[test]
fn an_hour_is_sealed_ten_seconds_after_its_end() {
    let server = text(2);
    assert_eq!(maintain(&server, 3609, None, None), [0, 0, 0]);
    assert_eq!(maintain(&server, 3610, None, None), [1, 0, 0]);
    assert_eq!(block_hours(&server.0), [0]);
    assert_eq!(maintain(&server, 3610, None, None), [0, 0, 0], "it is sealed already");
    assert_eq!(maintain(&server, 7210, None, None), [1, 0, 0]);
}

#[test]
fn a_sealed_hour_is_not_read_again() {
    let server = text(2);
    assert_eq!(maintain(&server, 7210, Some(2), None), [2, 0, 0]);
    redis_does_nothing(&server, 7210);
}

#[test]
fn an_hour_without_samples_is_not_sealed() {
    let redis = FakeRedis::start(Data::text(samples().from(3600)));
    redis.data().prices.insert(0, ("broken".to_owned(), super::samples::score(5.0)));
    let history = redis.loaded(usize::MAX);
    let server = (redis, history);
    assert_eq!(maintain(&server, 7210, None, None), [1, 0, 0]);
    assert_eq!(maintain(&server, 3 * 3600, Some(1), None), [0, 2, 0], "its text is dropped");
    assert_eq!(server.0.data().boundary, Some(start_of(2)));
    assert_eq!(server.0.data().prices.len(), 1, "members that are not samples are kept");
}

#[test]
fn an_hour_that_is_changing_is_not_sealed() {
    let server = text(1);
    server.0.data().contended = 1;
    assert_eq!(maintain(&server, 4000, None, None), [0, 0, 0]);
    assert_eq!(maintain(&server, 4000, None, None), [1, 0, 0]);
}

#[test]
fn a_sealed_hour_with_a_new_sample_is_sealed_again() {
    let server = text(1);
    maintain(&server, 4000, None, None);
    server.0.data().record(&sample(15.0, 5));
    assert_eq!(maintain(&server, 4000, None, None), [1, 0, 0]);
    assert_eq!(
        server.0.data().blocks.get(&BASE),
        Some(&block(0, {
            let mut all: Vec<_> = samples().into();
            all.insert(2, sample(15.0, 5));
            all
        }))
    );
}

#[test]
fn text_is_dropped_when_it_is_old_enough() {
    let server = text(4);
    assert_eq!(maintain(&server, 4 * 3600 + 10, Some(2), None), [2, 2, 0]);
    assert_eq!(server.0.data().boundary, Some(start_of(2)));
    assert_eq!(server.0.data().prices.len(), 720);
    assert_eq!(count(&server.0, &server.1), 1440);
    assert_eq!(maintain(&server, 5 * 3600 - 1, Some(2), None), [0, 0, 0]);
    assert_eq!(maintain(&server, 5 * 3600, Some(2), None), [0, 1, 0]);
    assert_eq!(server.0.data().boundary, Some(start_of(3)));
}

#[test]
fn the_boundary_moves_over_hours_without_samples() {
    let server = text(1);
    assert_eq!(maintain(&server, 10 * 3600, Some(2), None), [0, 1, 0]);
    assert_eq!(server.0.data().boundary, Some(start_of(8)));
    redis_does_nothing(&server, 10 * 3600);
    assert_eq!(maintain(&server, 12 * 3600, Some(2), None), [0, 0, 0]);
    assert_eq!(server.0.data().boundary, Some(start_of(10)));
}

#[test]
fn the_text_of_an_hour_that_keeps_changing_is_kept_with_all_later_text() {
    let server = text(3);
    maintain(&server, 3 * 3600 + 10, None, None);
    server.0.data().contended = 5;
    assert_eq!(maintain(&server, 4 * 3600, Some(1), None), [0, 0, 0]);
    assert_eq!(server.0.data().boundary, None);
    server.0.data().contended = 4;
    assert_eq!(maintain(&server, 4 * 3600, Some(1), None), [0, 3, 0]);
    assert_eq!(server.0.data().boundary, Some(start_of(3)));
}

#[test]
fn a_sample_that_was_added_to_a_dropped_hour_is_moved_into_its_block() {
    let redis = FakeRedis::start(blocks(2));
    redis.data().record(&sample(15.0, 5));
    let history = redis.loaded(usize::MAX);
    assert_eq!(redis.run(history.drop_text(start_of(2))).unwrap(), 1);
    assert_eq!((count(&redis, &history), redis.data().prices.len()), (721, 0));
    assert_eq!(redis.data().boundary, Some(start_of(2)));
}

#[test]
fn the_text_of_a_damaged_hour_is_kept_but_later_text_is_dropped() {
    let mut data = blocks(1);
    data.blocks.insert(start_of(0), b"broken".to_vec());
    data.add(&sample(15.0, 5));
    data.add(&sample(3700.0, 5));
    let redis = FakeRedis::start(data);
    let history = redis.loaded(usize::MAX);
    assert_eq!(redis.run(history.drop_text(start_of(2))).unwrap(), 2);
    assert_eq!(redis.data().prices.len(), 1);
    assert_eq!(redis.data().boundary, Some(start_of(2)));
    assert_eq!(redis.data().blocks[&start_of(0)], b"broken");
}

#[test]
fn old_hours_are_deleted_except_that_of_the_newest_sample() {
    let server = text(3);
    assert_eq!(maintain(&server, 3 * 3600 + 20, None, None), [3, 0, 0]);
    assert_eq!(maintain(&server, 3 * 3600 - 1, None, Some(2)), [0, 0, 0]);
    assert_eq!(maintain(&server, 3 * 3600, None, Some(2)), [0, 0, 1]);
    assert_eq!(block_hours(&server.0), [1, 2]);
    assert_eq!(server.0.data().prices.len(), 720);
    assert_eq!(maintain(&server, 100 * 3600, None, Some(2)), [0, 0, 1]);
    assert_eq!(block_hours(&server.0), [2]);
    assert_eq!(count(&server.0, &server.1), 360);
}

#[test]
fn an_hour_that_was_just_deleted_is_not_sealed() {
    let server = text(3);
    let changes = server.0.data().changes.len();
    assert_eq!(maintain(&server, 3 * HOUR + 10, None, Some(2)), [2, 0, 1]);
    assert_eq!(block_hours(&server.0), [1, 2]);
    assert_eq!(server.0.data().changes.len(), changes + 3, "one message per changed hour");
}

#[test]
fn the_newest_hour_with_a_sample_is_kept_even_if_a_later_hour_has_other_members() {
    let redis = FakeRedis::start(Data::text(samples()));
    redis.data().prices.push(("broken".to_owned(), super::samples::score(9000.0)));
    let history = redis.loaded(usize::MAX);
    let retention = Retention { text: None, samples: Some(Duration::from_hours(1)) };
    redis.run(history.maintain(BASE + 100 * 3600, retention)).unwrap();
    assert_eq!(count(&redis, &history), 360);
}

#[test]
fn an_hour_that_is_changing_is_not_deleted() {
    let server = text(2);
    server.0.data().contended = 1;
    assert_eq!(maintain(&server, 7200, None, Some(1))[2], 0);
    assert_eq!(maintain(&server, 7200, None, Some(1))[2], 1);
}

#[test]
fn reasons_of_missed_slots_are_deleted_with_the_samples() {
    let server = text(2);
    for slot in [0, 3590, 3600] {
        server.0.data().miss(BASE + slot, crate::domain::MissedReason::Paused);
    }
    maintain(&server, 7200, None, Some(1));
    let data = server.0.data();
    let left: Vec<i64> = data.missed.values().flatten().copied().collect();
    assert_eq!(left, [start_of(1)]);
}

#[test]
fn a_check_finds_damaged_and_outdated_blocks() {
    let mut data = Data::text(samples().count(4 * 360));
    data.blocks = blocks(3).blocks;
    data.blocks.insert(start_of(0), b"broken".to_vec());
    data.blocks.insert(start_of(1), block(1, samples().from(3600).count(5)));
    let redis = FakeRedis::start(data);
    let history = redis.loaded(usize::MAX);
    let (hours, findings) = redis.run(history.check()).unwrap();
    assert_eq!(hours, 4);
    let found: Vec<_> = findings
        .iter()
        .map(|it| (it.hour - BASE, it.problem.as_str(), it.can_be_rebuilt))
        .collect();
    assert_eq!(found[1], (3600, "its samples differ from the text", true));
    assert!(found[0].1.contains("version"), "{found:?}");
    assert_eq!((found.len(), found[0].0, found[0].2), (2, 0, true));
    assert_eq!(redis.run(history.rebuild()).unwrap(), 2);
    assert_eq!(redis.run(history.check()).unwrap(), (4, Vec::new()));
    assert_eq!(block_hours(&redis), [0, 1, 2]);
}

#[test]
fn a_block_whose_samples_are_lost_cannot_be_rebuilt() {
    let mut data = blocks(2);
    data.blocks.insert(start_of(0), b"broken".to_vec());
    let redis = FakeRedis::start(data);
    let history = redis.loaded(usize::MAX);
    let (_, findings) = redis.run(history.check()).unwrap();
    assert_eq!(findings.iter().map(|it| it.can_be_rebuilt).collect::<Vec<_>>(), [false]);
    assert_eq!(redis.run(history.rebuild()).unwrap(), 0);
    assert_eq!(redis.data().blocks[&start_of(0)], b"broken");
    let sealed = redis.run(history.maintain(start_of(9), Retention::default())).unwrap();
    assert_eq!(sealed, Maintained::default());
}

#[test]
fn a_block_is_rebuilt_only_if_its_hour_is_unchanged() {
    let mut data = Data::text(samples());
    data.blocks.insert(start_of(0), b"broken".to_vec());
    let redis = FakeRedis::start(data);
    let history = redis.loaded(usize::MAX);
    redis.data().contended = 1;
    assert_eq!(redis.run(history.rebuild()).unwrap(), 0);
    assert_eq!(redis.run(history.rebuild()).unwrap(), 1);
}

#[test]
fn dropped_text_can_be_restored() {
    let redis = FakeRedis::start(blocks(3));
    let history = redis.loaded(usize::MAX);
    redis.data().contended = 4;
    assert_eq!(redis.run(history.restore_text()).unwrap(), 3);
    assert_eq!(redis.data().prices.len(), 1080);
    assert_eq!(redis.data().boundary, Some(start_of(0)));
    assert_eq!(block_hours(&redis), [0, 1, 2]);
    assert_eq!(count(&redis, &history), 1080);
    assert_eq!(redis.run(history.restore_text()).unwrap(), 0);
}

#[test]
fn restoring_text_fails_if_an_hour_keeps_changing_or_is_damaged() {
    let redis = FakeRedis::start(blocks(3));
    let history = redis.loaded(usize::MAX);
    redis.data().contended = 5;
    let error = redis.run(history.restore_text()).unwrap_err().to_string();
    assert!(error.contains("cannot restore text"), "{error}");
    redis.data().blocks.insert(start_of(1), b"broken".to_vec());
    let error = redis.run(history.restore_text()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(redis.data().boundary, Some(start_of(2)), "newer hours were restored");
}

#[test]
fn nothing_is_restored_if_no_text_was_dropped() {
    let (redis, history) = text(2);
    assert_eq!(redis.run(history.restore_text()).unwrap(), 0);
    assert_eq!(redis.data().changes.len(), 0);
}
