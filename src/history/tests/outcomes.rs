//! The outcomes of slots, up to the first slot that is still open.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::{
    arbitrary,
    fake_redis::{Data, FakeRedis},
    histories::{Recorded, history_of, nothing, recorded},
    naive::Naive,
    samples::{BASE, at, point_of, sample_of, samples},
};
use crate::{
    domain::MissedReason,
    history::{History, HistoryError, Outcome},
};

/// Returns the outcomes from a second after [`BASE`] on, without those of Redis.
fn outcomes(history: &History, from: i64, most: usize) -> Vec<Outcome> {
    history.outcomes(BASE + from, most).now_or_never().unwrap().unwrap()
}

fn starts(outcomes: &[Outcome]) -> Vec<i64> {
    outcomes.iter().map(|outcome| outcome.slot.start() - BASE).collect()
}

/// Returns a history of a fake Redis that was last in sync at a second after [`BASE`]. Slots that end by 3 s
/// before it are decided.
fn synced(recorded: &Recorded, redis: &FakeRedis, known_until: i64) -> History {
    let (history, loaded) = (redis.history(), recorded.history());
    *history.state.write() = std::mem::take(&mut *loaded.state.write());
    history.synced(Duration::from_secs(5), known_until)
}

#[test]
fn an_empty_history_has_no_outcomes() {
    assert_eq!(outcomes(&nothing().history(), 0, 10), []);
}

#[test]
fn outcomes_begin_with_the_first_recorded_slot() {
    let history = history_of(samples().from(35).count(5)).synced(Duration::from_secs(5), 80);
    assert_eq!(starts(&outcomes(&history, -1000, 10)), [30, 40, 50, 60, 70]);
    assert_eq!(starts(&outcomes(&history, 41, 10)), [50, 60, 70]);
    assert_eq!(starts(&outcomes(&history, 50, 10)), [50, 60, 70]);
    assert_eq!(starts(&outcomes(&history, 80, 10)), Vec::<i64>::new());
}

#[test]
fn at_most_the_wanted_number_of_outcomes_is_returned() {
    let history = history_of(samples().count(5)).synced(Duration::from_secs(5), 50);
    assert_eq!(starts(&outcomes(&history, 0, 3)), [0, 10, 20]);
    assert_eq!(starts(&outcomes(&history, 0, 0)), Vec::<i64>::new());
}

#[test]
fn an_outcome_has_the_first_sample_of_its_slot_with_its_provenance() {
    let samples =
        vec![sample_of("one", 0.0, 1), sample_of("two", 9.75, 2), sample_of("three", 10.0, 3)];
    let history = history_of(samples.clone()).synced(Duration::from_secs(5), 20);
    let found: Vec<_> = outcomes(&history, 0, 10).into_iter().map(|it| it.result).collect();
    assert_eq!(found, [Ok(samples[0].clone()), Ok(samples[2].clone())]);
}

#[test]
fn a_slot_without_sample_is_missed_three_seconds_after_its_end() {
    let redis = FakeRedis::start(Data::default());
    let recorded = recorded(at([(0.0, 1)]));
    let count = |known_until| {
        let history = synced(&recorded, &redis, known_until);
        redis.run(history.outcomes(BASE, 10)).unwrap().len()
    };
    assert_eq!([22, 23, 32, 33].map(count), [1, 2, 2, 3]);
}

#[test]
fn a_missed_slot_has_its_reason() {
    let mut data = Data::default();
    data.miss(BASE + 10, MissedReason::TooLate);
    data.miss(BASE + 30, MissedReason::Paused);
    data.miss(BASE + 40, MissedReason::BadAnswer);
    let redis = FakeRedis::start(data);
    let history = synced(&recorded(at([(0.0, 1), (40.0, 2)])), &redis, 60);
    let found = redis.run(history.outcomes(BASE, 10)).unwrap();
    let reasons: Vec<_> = found.iter().map(|outcome| outcome.result.clone().err()).collect();
    let missed = [Some(MissedReason::TooLate), None, Some(MissedReason::Paused)].map(Some);
    assert_eq!(reasons, [None, missed[0], missed[1], missed[2], None]);
}

#[test]
fn samples_in_several_hours_are_found() {
    let recorded = recorded(at([(3590.0, 1), (3600.0, 2), (7200.0, 3)]))
        .slots([(0, 3600)])
        .empty(3)
        .evicted([3]);
    let history = recorded.history().synced(Duration::from_secs(5), 7300);
    let found = outcomes(&history, 0, 10);
    assert_eq!(starts(&found), [0, 3600, 7200]);
    assert!(found.iter().all(|outcome| outcome.result.is_ok()));
}

#[test]
fn earlier_hours_need_no_samples() {
    let recorded = recorded(samples().count(3 * 360)).evicted([0, 1]);
    let history = recorded.history().synced(Duration::from_secs(5), 10_800);
    assert_eq!(starts(&outcomes(&history, 7200, 2)), [7200, 7210]);
}

#[test]
fn outcomes_in_a_damaged_hour_are_unknown() {
    let history = recorded(samples()).damaged(1).history().synced(Duration::from_secs(5), 9000);
    let damaged = |from, most| {
        let found = history.outcomes(BASE + from, most).now_or_never().unwrap();
        matches!(found, Err(HistoryError::Damaged { hour }) if hour == BASE + 3600)
    };
    assert!(damaged(3590, 5) && damaged(3600, 5));
    assert!(!damaged(0, 10));
}

#[test]
fn after_an_interruption_the_reasons_of_others_are_awaited() {
    let redis = FakeRedis::start(Data::default());
    // Slots have a second. How long ago the last decided one ended, of a history in sync for some time.
    let decided = |synced_for: i64| {
        let history = redis.history();
        let now = history.now();
        #[allow(clippy::cast_precision_loss, reason = "exact for unix seconds")]
        let minute_ago = (now - 60 - BASE) as f64;
        let recorded = recorded(at([(minute_ago, 1)])).slots([(0, 1)]);
        let mut state = history.state.write();
        state.index = Some(recorded.index().into());
        state.last_sync = Some((Instant::now(), now));
        state.synced_since = now - synced_for;
        drop(state);
        let found = redis.run(history.outcomes(now - 60, 1000)).unwrap();
        now - found.last().unwrap().slot.end()
    };
    // The clock may advance meanwhile.
    let is_about = |expected: i64, found: i64| (expected - 1..=expected).contains(&found);
    assert!(is_about(3, decided(100)));
    assert!(is_about(3, decided(6)));
    assert!(is_about(8, decided(3)));
    assert!(is_about(5, decided(0)));
}

/// One server for all cases of the property.
static REDIS: LazyLock<FakeRedis> = LazyLock::new(|| FakeRedis::start(Data::default()));

proptest! {
    #![proptest_config(arbitrary::few_cases())]
    #[test]
    fn outcomes_match_the_naive_model(
        recorded in arbitrary::recordings(), from in -100i64..22_000, most in 0usize..50,
        decided in 0i64..25_000,
    ) {
        let naive = Naive::of(&recorded.samples, &recorded.schedule);
        let history = synced(&recorded, &REDIS, decided + 3);
        let found = REDIS.run(history.outcomes(BASE + from, most)).unwrap();
        let found: Vec<_> =
            found.iter().map(|it| (it.slot, it.result.as_ref().ok().map(point_of))).collect();
        let slots = naive.slots(BASE + 60_000).into_iter();
        let wanted = slots.filter(|(slot, _)| slot.start() >= BASE + from);
        let is_decided = |(slot, sample): &(crate::domain::Slot, Option<_>)| {
            sample.is_some() || slot.end() <= BASE + decided
        };
        let expected: Vec<_> = wanted.take_while(is_decided).take(most).collect();
        prop_assert_eq!(found, expected);
    }
}
