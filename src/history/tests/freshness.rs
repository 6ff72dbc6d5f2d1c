//! How current a history is, and for how long it answers without Redis.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::{
    histories::{empty_history, history_of},
    samples::{BASE, between, samples, since, until},
};
use crate::{
    domain::{Candles, Order, TimeRange, Zone},
    history::{Answered, Freshness, History, HistoryError, Size},
};

const NOT_FRESH: Duration = Duration::from_secs(3);
const EXPIRED: Duration = Duration::from_secs(90);

/// Returns a history whose last sync was some time ago, when the newest sample was 100 s after [`BASE`].
fn synced(ago: Duration) -> History {
    history_of(samples().count(11)).synced(ago, 100)
}

fn total(history: &History, range: TimeRange) -> Result<Option<i64>, HistoryError> {
    let answered = history.total(&range).now_or_never().unwrap()?;
    Ok(answered.until.map(|until| until - BASE))
}

#[test]
fn a_history_that_has_not_been_loaded_answers_nothing() {
    let history = empty_history();
    assert_eq!(history.freshness(), Freshness::Loading);
    assert_eq!(history.size(), Size::default());
    assert!(matches!(total(&history, until(0.0)), Err(HistoryError::Loading)));
    assert!(matches!(history.outcomes(0, 1).now_or_never(), Some(Err(HistoryError::Loading))));
    assert!(matches!(history.check().now_or_never(), Some(Err(HistoryError::Loading))));
    assert!(history.index().is_none());
}

#[test]
fn a_history_that_is_synced_without_an_index_is_loading() {
    let history = empty_history().synced(Duration::ZERO, 100);
    assert!(matches!(total(&history, until(0.0)), Err(HistoryError::Loading)));
}

#[test]
fn a_history_in_sync_is_current() {
    let history = synced(Duration::ZERO);
    let Freshness::Current { known_until } = history.freshness() else { panic!("not current") };
    assert!((history.now() - known_until).abs() <= 1);
    for range in [TimeRange::default(), until(50.0), since(500.0), until(1000.0)] {
        assert_eq!(total(&history, range).unwrap(), None);
    }
}

#[test]
fn half_a_second_after_the_last_sync_a_history_is_still_current() {
    let history = synced(Duration::from_millis(500));
    assert!(matches!(history.freshness(), Freshness::Current { .. }));
    assert_eq!(total(&history, since(0.0)).unwrap(), None);
}

#[test]
fn a_stale_history_says_until_when_its_answers_are_known() {
    let history = synced(NOT_FRESH);
    assert_eq!(history.freshness(), Freshness::Stale { known_until: BASE + 100 });
    for range in [TimeRange::default(), since(500.0), until(1000.0), until(100.0)] {
        assert_eq!(total(&history, range).unwrap(), Some(100));
    }
}

#[test]
fn ranges_that_end_before_the_last_sync_are_known_forever() {
    for ago in [NOT_FRESH, EXPIRED] {
        let history = synced(ago);
        assert_eq!(total(&history, until(99.75)).unwrap(), None);
        assert_eq!(total(&history, between(0.0, 50.0)).unwrap(), None);
    }
}

#[test]
fn an_expired_history_does_not_answer_about_the_time_since_the_last_sync() {
    let history = synced(EXPIRED);
    assert_eq!(history.freshness(), Freshness::Expired { known_until: BASE + 100 });
    for range in [TimeRange::default(), since(500.0), until(100.0), until(1000.0)] {
        let error = total(&history, range).unwrap_err();
        let is_stale =
            matches!(error, HistoryError::Stale { known_until } if known_until == BASE + 100);
        assert!(is_stale, "{error}");
    }
}

#[test]
fn candles_depend_on_samples_until_the_end_of_their_last_interval() {
    let history = synced(NOT_FRESH);
    let known = |range: TimeRange, now| {
        let wanted = Candles {
            interval: "1m".parse().unwrap(),
            zone: Zone::UTC,
            filled: false,
            order: Order::Ascending,
            limit: 10,
        };
        let Answered { until, .. } =
            history.candles(&range, &wanted, BASE + now).now_or_never().unwrap().unwrap();
        until.map(|until| until - BASE)
    };
    assert_eq!(known(until(59.0), 1000), None);
    assert_eq!(known(until(60.0), 1000), Some(100), "the interval ends at 119");
    assert_eq!(known(until(300.0), 55), None, "nothing is known after now");
    assert_eq!(known(since(0.0), 1000), Some(100));
}

#[test]
fn a_candle_whose_interval_ended_with_the_last_sync_is_complete() {
    let history = history_of(samples().count(12)).synced(NOT_FRESH, 120);
    let interval = "1m".parse().unwrap();
    let wanted =
        Candles { interval, zone: Zone::UTC, filled: false, order: Order::Ascending, limit: 10 };
    let known = |range: TimeRange| {
        let candles = history.candles(&range, &wanted, BASE + 1000).now_or_never();
        candles.unwrap().unwrap().until.map(|until| until - BASE)
    };
    assert_eq!((known(until(119.0)), known(until(120.0))), (None, Some(120)));
}

#[test]
fn coverage_depends_on_samples_until_the_end_of_the_last_slot() {
    let history = synced(NOT_FRESH);
    let known = |range: TimeRange| {
        let coverage = history.coverage_without_reasons(&range, BASE + 1000).now_or_never();
        coverage.unwrap().unwrap().until.map(|until| until - BASE)
    };
    assert_eq!(known(until(89.0)), None);
    assert_eq!(known(until(99.5)), None);
    assert_eq!(known(until(100.0)), Some(100));
}

#[test]
fn every_query_about_the_past_is_answered_without_a_time_limit() {
    let history = synced(EXPIRED);
    let at = until(50.0).until().unwrap();
    assert!(history.last_until(at).now_or_never().unwrap().is_ok());
    assert!(history.price_at(BASE + 50).now_or_never().unwrap().is_ok());
    assert!(history.price_at(BASE + 100).now_or_never().unwrap().is_err());
    assert!(history.latest().now_or_never().unwrap().is_err());
    assert!(history.rows(0..1).now_or_never().unwrap().is_err());
}

#[test]
fn a_change_is_announced_to_those_who_wait_for_it() {
    let history = synced(Duration::ZERO);
    let mut changes = history.changes();
    assert!(!changes.has_changed().unwrap());
    history.changed.send_replace(());
    assert!(changes.changed().now_or_never().is_some());
}
