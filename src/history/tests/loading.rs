//! Loading the history from text and blocks, within the memory limit.

use super::{
    fake_redis::{Data, FakeRedis},
    histories::{recorded, start_of},
    samples::{BASE, between, sample, samples},
};
use crate::{
    domain::{Observation, TimeRange, UnixTime},
    history::{History, HistoryError},
    store::{Hour, encode},
};

const UNLIMITED: usize = usize::MAX;

/// Returns the block of the samples of an hour.
pub(super) fn block(hour: i64, samples: impl Into<Vec<Observation>>) -> Vec<u8> {
    let schedule = recorded(Vec::new()).schedule;
    encode(&Hour::new(start_of(hour), &samples.into()), &schedule).unwrap()
}

/// Returns data with samples as blocks only: some hours of samples, one every 10 s.
pub(super) fn blocks(hours: i64) -> Data {
    let mut data = Data::default();
    for hour in 0..hours {
        data.blocks.insert(start_of(hour), block(hour, samples().from(hour * 3600)));
    }
    data.boundary = Some(start_of(hours));
    data
}

fn count(redis: &FakeRedis, history: &History) -> u64 {
    redis.run(history.total(&TimeRange::default())).unwrap().value.count
}

/// Returns the numbers of the hours whose samples are in memory.
fn in_memory(history: &History) -> Vec<i64> {
    let index = history.index().unwrap();
    let kept = index.entries().iter().filter(|entry| entry.columns.is_some());
    kept.map(|entry| (entry.start - BASE) / 3600).collect()
}

#[test]
fn an_empty_redis_is_an_empty_history() {
    let redis = FakeRedis::start(Data::default());
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 0);
    assert_eq!(redis.run(history.latest()).unwrap().value, None);
}

#[test]
fn text_is_loaded_with_its_provenance() {
    let observations = vec![super::samples::sample_of("one", 5.0, 1), sample(10.0, 2)];
    let redis = FakeRedis::start(Data::text(observations.clone()));
    let history = redis.loaded(UNLIMITED);
    let last = redis.run(history.last_until(super::samples::time(5.0))).unwrap().value;
    assert_eq!(last.as_ref(), observations.first());
    assert!(!history.index().unwrap().entries()[0].is_sealed);
}

#[test]
fn blocks_without_text_are_loaded_without_reading_hours() {
    let redis = FakeRedis::start(blocks(3));
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 1080);
    assert_eq!(redis.data().reads, []);
    let index = history.index().unwrap();
    assert_eq!((index.all().blocks, index.all().members), (3, 0));
    assert!(index.entries().iter().all(|entry| entry.is_sealed));
}

#[test]
fn blocks_that_match_their_text_are_not_read_as_text() {
    let mut data = Data::text(samples().count(720));
    data.blocks = blocks(2).blocks;
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!((count(&redis, &history), redis.data().reads.len()), (720, 0));
    assert_eq!(history.index().unwrap().all().members, 720);
}

#[test]
fn an_hour_whose_text_differs_from_its_block_is_read() {
    let mut data = Data::text(samples().count(720));
    data.blocks = blocks(2).blocks;
    data.add(&sample(15.0, 5));
    data.prices.pop();
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 720);
    let reads: Vec<i64> = redis.data().reads.iter().map(|(from, _)| from - BASE).collect();
    assert_eq!(reads, [0, 3600], "one hour has gained what another one has lost");
    assert!(history.index().unwrap().entries().iter().all(|entry| !entry.is_sealed));
}

#[test]
fn samples_that_were_added_to_a_dropped_hour_are_read() {
    let mut data = blocks(2);
    data.add(&sample(15.0, 5));
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 721);
}

#[test]
fn an_hour_at_the_boundary_has_the_samples_of_its_text_only() {
    let mut data = blocks(2);
    data.boundary = Some(start_of(1));
    let redis = FakeRedis::start(data);
    assert_eq!(count(&redis, &redis.loaded(UNLIMITED)), 360, "the block of the second hour is old");
}

#[test]
fn the_newest_hours_are_kept_in_memory() {
    let redis = FakeRedis::start(blocks(8));
    let size = redis.loaded(UNLIMITED).size().memory / 8;
    assert_eq!(in_memory(&redis.loaded(UNLIMITED)), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(in_memory(&redis.loaded(0)), Vec::<i64>::new());
    assert_eq!(in_memory(&redis.loaded(2 * size)), [6, 7]);
    let history = redis.loaded(3 * size);
    assert_eq!(in_memory(&history), [5, 6, 7]);
    assert_eq!(count(&redis, &history), 8 * 360);
}

#[test]
fn hours_between_known_ones_are_found_by_their_members() {
    let mut data = Data::default();
    for hour in [0, 1, 100, 101, 5000] {
        for second in [0, 10] {
            data.add(&sample(f64::from(hour * 3600 + second), 5));
        }
    }
    data.blocks.insert(start_of(1), block(1, samples().from(3600).count(2)));
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 10);
    assert_eq!(history.index().unwrap().entries().len(), 5);
}

#[test]
fn many_members_are_read_in_several_ranges() {
    let redis = FakeRedis::start(Data::text(samples().every(1).count(50_000)));
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 50_000);
    let reads = redis.data().reads.clone();
    let largest = reads.iter().map(|(from, until)| until.min(&(BASE + 50_000)) - from.max(&BASE));
    assert!(largest.max().unwrap() <= 20_000, "{reads:?}");
    assert!(reads.iter().any(|(from, until)| until - from > 3600), "{reads:?}");
}

#[test]
fn twenty_thousand_members_are_read_at_once() {
    let redis = FakeRedis::start(Data::text(samples().every(1).count(20_000)));
    let history = redis.loaded(UNLIMITED);
    assert_eq!((count(&redis, &history), redis.data().reads.len()), (20_000, 1));
}

#[test]
fn an_hour_with_too_many_members_is_read_as_a_whole() {
    let known = (0..20_001).map(|index| sample(3600.0 + f64::from(index) / 8.0, 5));
    let known: Vec<Observation> = known.collect();
    let mut data = Data::text(known.clone());
    data.blocks.insert(start_of(1), block(1, known));
    for index in 0..20_001 {
        data.prices.insert(0, (format!("5:{index}"), super::samples::score(5.0)));
    }
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 40_002);
    assert_eq!(redis.data().reads, [(start_of(0), start_of(1))]);
}

#[test]
fn samples_at_the_ends_of_the_calendar_are_found() {
    let seconds = [UnixTime::MIN, UnixTime::MAX].map(UnixTime::as_score);
    let samples = seconds.map(|second| sample(second - super::samples::score(0.0), 5));
    let redis = FakeRedis::start(Data::text(samples));
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 2);
}

#[test]
fn a_damaged_block_is_replaced_by_its_text() {
    let mut data = Data::text(samples().count(720));
    data.blocks = blocks(2).blocks;
    data.blocks.insert(start_of(0), b"broken".to_vec());
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    assert_eq!(count(&redis, &history), 720);
    let all = history.index().unwrap().all();
    assert_eq!((all.blocks, all.damaged, all.members), (2, 0, 720));
}

#[test]
fn a_damaged_block_without_text_is_lost() {
    let mut data = blocks(3);
    data.blocks.insert(start_of(1), b"broken".to_vec());
    let redis = FakeRedis::start(data);
    for memory in [0, UNLIMITED] {
        let history = redis.loaded(memory);
        let total = redis.run(history.total(&between(0.0, 4000.0)));
        assert!(matches!(total, Err(HistoryError::Damaged { hour }) if hour == start_of(1)));
        assert_eq!(redis.run(history.total(&between(0.0, 3599.0))).unwrap().value.count, 360);
        assert_eq!(history.index().unwrap().all().damaged, 1);
        assert_eq!(history.index().unwrap().all().blocks, 3);
    }
}

#[test]
fn samples_added_to_a_damaged_hour_do_not_repair_it() {
    let mut data = blocks(2);
    data.blocks.insert(start_of(1), b"broken".to_vec());
    data.add(&sample(3700.0, 5));
    let redis = FakeRedis::start(data);
    let history = redis.loaded(UNLIMITED);
    let all = history.index().unwrap().all();
    assert_eq!((all.damaged, all.blocks, all.members), (1, 2, 1));
    redis.data().record(&sample(3800.0, 5));
    redis.run(history.refresh()).unwrap();
    let all = history.index().unwrap().all();
    assert_eq!((all.damaged, all.members), (1, 2));
}

#[test]
fn a_block_that_is_damaged_later_makes_a_query_fail() {
    let redis = FakeRedis::start(blocks(2));
    let history = redis.loaded(0);
    redis.data().blocks.insert(start_of(1), b"broken".to_vec());
    let error = redis.run(history.total(&between(0.0, 3700.0))).unwrap_err();
    assert!(matches!(error, HistoryError::Store(_)), "{error}");
    assert!(error.to_string().contains("damaged"), "{error}");
}
