//! Coverage and gaps: `/api/coverage/` and `/api/gaps/` against a naive model, and reasons of missed slots.

use std::{collections::BTreeMap, time::Duration};

use cotiza::{
    domain::{
        MissedReason, MissedSlots, Observation, Order, PageNumber, PageSize, Slots, TimeRange,
        UnixTime,
    },
    history::History,
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;

use crate::harness::{Api, Database, UNLIMITED, observation, record};

const BASE: i64 = 1_700_000_000;

fn sample(slot: i64) -> Observation {
    observation(BASE + slot * 10 + 3, "5.5")
}

fn range(since: i64, until: i64) -> TimeRange {
    let at = |second| Some(UnixTime::from_seconds(second));
    TimeRange::new(at(since), at(until)).unwrap()
}

async fn all_gaps(history: &History, range: &TimeRange, now: i64) -> Vec<(i64, i64, MissedSlots)> {
    let gaps = all_gaps_in(Order::Ascending, history, range, now).await;
    let mut reversed = all_gaps_in(Order::Descending, history, range, now).await;
    reversed.reverse();
    assert_eq!(reversed, gaps);
    gaps
}

async fn all_gaps_in(
    order: Order,
    history: &History,
    range: &TimeRange,
    now: i64,
) -> Vec<(i64, i64, MissedSlots)> {
    let size: PageSize = "3".parse().unwrap();
    let (mut found, mut number) = (Vec::new(), 1);
    loop {
        let page = history.gaps(range, now, PageNumber::Number(number), size, order).await.unwrap();
        let page = page.value.unwrap();
        found.extend(page.items.iter().map(|gap| (gap.from, gap.until, gap.missed.clone())));
        if page.next().is_none() {
            assert_eq!(page.count, found.len() as u64);
            return found;
        }
        number += 1;
    }
}

/// The state of a slot between the first recorded one and the current one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Recorded,
    Missed(MissedReason),
    NotScheduled,
}

/// Returns the gaps of the model with their reasons.
fn naive_gaps(
    states: &BTreeMap<i64, State>,
    from: i64,
    until: i64,
) -> Vec<(i64, i64, MissedSlots)> {
    let mut gaps: Vec<(i64, i64, MissedSlots)> = Vec::new();
    for (&slot, &state) in states.range(from..until) {
        if state == State::Recorded {
            continue;
        }
        let start = BASE + slot * 10;
        if gaps.last().is_none_or(|(_, end, _)| *end != start) {
            gaps.push((start, start, MissedSlots::default()));
        }
        let (_, end, missed) = gaps.last_mut().unwrap();
        *end = start + 10;
        match state {
            State::Missed(reason) => {
                missed.by_reason
                    [MissedReason::ALL.iter().position(|known| *known == reason).unwrap()] += 1;
            }
            _ => missed.not_scheduled += 1,
        }
    }
    gaps
}

#[test]
fn coverage_and_gaps_match_a_naive_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let store = runtime.block_on(async { database.store() });
    let events = prop::collection::vec((0i64..60, 0usize..9), 1..60);
    let strategy = (events, 0i64..60, 0i64..60);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
    let checked = TestRunner::new(config).run(&strategy, |(events, one, other)| {
        let mut reasons: BTreeMap<i64, MissedReason> = BTreeMap::new();
        let mut recorded: Vec<i64> = Vec::new();
        runtime.block_on(async {
            database.command::<()>(&["FLUSHDB"]).await;
            for (slot, what) in events {
                if let Some(reason) = MissedReason::ALL.get(what) {
                    store.record_missed(&[BASE + slot * 10], *reason).await.unwrap();
                    if !recorded.contains(&slot) {
                        reasons.entry(slot).or_insert(*reason);
                    }
                } else {
                    database.record_one(&sample(slot)).await;
                    reasons.remove(&slot);
                    recorded.push(slot);
                }
            }
        });
        let history = runtime.block_on(database.history());
        // Now is in slot 60, which is not over.
        let now = BASE + 605;
        let first = recorded.iter().min().copied();
        let mut states: BTreeMap<i64, State> = BTreeMap::new();
        for slot in first.unwrap_or(60)..60 {
            let missed = reasons.get(&slot).map_or(State::NotScheduled, |it| State::Missed(*it));
            states.insert(slot, if recorded.contains(&slot) { State::Recorded } else { missed });
        }
        let everything = TimeRange::default();
        for (range, from, until) in [
            (everything, 0, 60),
            (
                range(BASE + one.min(other) * 10, BASE + one.max(other) * 10),
                one.min(other),
                one.max(other) + 1,
            ),
        ] {
            let expected = naive_gaps(&states, from, until);
            prop_assert_eq!(&runtime.block_on(all_gaps(&history, &range, now)), &expected);
            let coverage = runtime.block_on(history.coverage(&range, now)).unwrap().value;
            let slots = states.range(from..until).count() as u64;
            let open = u64::from(range == everything && first.is_some());
            prop_assert_eq!(coverage.expected, slots + open);
            prop_assert_eq!(coverage.pending, open);
            prop_assert_eq!(
                coverage.missed.total(),
                expected.iter().map(|gap| gap.2.total()).sum::<u64>()
            );
            prop_assert_eq!(coverage.recorded + coverage.missed.total(), slots);
        }
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn the_api_returns_missed_slots_with_their_reasons() {
    let database = Database::new().await;
    let store = database.store();
    for slot in [0, 1, 5, 6, 9] {
        database.record_one(&sample(slot)).await;
    }
    store.record_missed(&[BASE + 20, BASE + 30], MissedReason::ExchangeTimeout).await.unwrap();
    let api = Api::start(&database).await;
    let coverage = api.get(&format!("/api/coverage/?until={}", BASE + 99)).await.ok();
    let reasons = |timeouts: u64, unscheduled: u64| {
        json!({
            "exchange_timeout": timeouts, "exchange_error": 0, "bad_answer": 0, "too_late": 0,
            "worker_lost": 0, "redis_away": 0, "price_rejected": 0, "no_worker": 0, "paused": 0,
            "not_scheduled": unscheduled,
        })
    };
    let expected = json!({
        "expected": 10, "recorded": 5, "missed": 5, "reasons": reasons(2, 3), "pending": 0, "share": 0.5,
    });
    assert_eq!(coverage, expected);

    let gaps = api.get(&format!("/api/gaps?until={}", BASE + 99)).await.ok();
    let first =
        json!({"since": BASE + 20, "until": BASE + 49, "slots": 3, "reasons": reasons(2, 1)});
    let second =
        json!({"since": BASE + 70, "until": BASE + 89, "slots": 2, "reasons": reasons(0, 2)});
    let page = json!({"count": 2, "next": null, "previous": null, "results": [first, second]});
    assert_eq!(gaps, page);
    let paged = api.get(&format!("/api/gaps/?until={}&page_size=1", BASE + 99)).await.ok();
    let next = format!("{}/api/gaps/?page=2&page_size=1&until={}", api.origin, BASE + 99);
    assert_eq!(paged["next"], next);
    assert_eq!(api.get(&next).await.ok()["results"], json!([second]));
    assert_eq!(api.get("/api/gaps/?page=9").await.problem(404)["detail"], "Invalid page.");
    api.get("/api/coverage/?since=x").await.problem(400);
}

#[tokio::test]
async fn without_samples_no_slot_is_expected() {
    let api = Api::start(&Database::new().await).await;
    let coverage = api.get("/api/coverage/").await.ok();
    assert_eq!((&coverage["expected"], &coverage["share"]), (&json!(0), &json!(null)));
    assert_eq!(api.get("/api/gaps/").await.ok()["count"], 0);
}

#[tokio::test]
async fn samples_of_the_old_stack_count_as_recorded() {
    let database = Database::new().await;
    // Two samples in one slot, and a missed slot.
    database
        .put_prices(&[("1700000000", "1.0"), ("1700000009", "2.0"), ("1700000021", "3.0")])
        .await;
    let history = database.history().await;
    let range = range(BASE, BASE + 29);
    let coverage = history.coverage(&range, BASE + 1000).await.unwrap().value;
    assert_eq!((coverage.expected, coverage.recorded, coverage.missed.total()), (3, 2, 1));
    let gaps = all_gaps(&history, &range, BASE + 1000).await;
    assert_eq!((gaps.len(), gaps[0].0, gaps[0].1), (1, BASE + 10, BASE + 20));
    assert_eq!(coverage.share(), Some(2.0 / 3.0));
}

#[tokio::test]
async fn a_new_slot_length_applies_from_the_time_of_the_change() {
    let database = Database::new().await;
    let store = |seconds| database.store_of(Duration::from_secs(seconds));
    let record = async |seconds, second| {
        let slots = Slots::new(Duration::from_secs(seconds)).unwrap();
        record(&database.client, slots, &observation(second, "5.5")).await.unwrap();
    };
    // Half an hour in slots of 10 s, half an hour in slots of 20 s.
    let start = 1_699_999_200;
    let history = History::new(store(10), UNLIMITED);
    history.refresh().await.unwrap();
    store(10).set_slots(start).await.unwrap();
    for n in 0..180 {
        record(10, start + n * 10).await;
    }
    store(20).set_slots(start + 1805).await.unwrap();
    store(20).set_slots(start + 1900).await.unwrap();
    for n in 0..80 {
        record(20, start + 1800 + n * 20 + 15).await;
    }
    let whole = range(start, start + 3599);
    for history in [history, database.history().await] {
        history.refresh().await.unwrap();
        let coverage = history.coverage(&whole, start + 7000).await.unwrap().value;
        assert_eq!((coverage.expected, coverage.recorded), (180 + 90, 180 + 80));
        let gaps = all_gaps(&history, &whole, start + 7000).await;
        assert_eq!((gaps.len(), gaps[0].0, gaps[0].2.total()), (1, start + 3400, 10));
    }
    // Blocks give the same result.
    let history = database.history().await;
    history.maintain(start + 7000, cotiza::history::Retention::default()).await.unwrap();
    let coverage = database.history().await.coverage(&whole, start + 7000).await.unwrap().value;
    assert_eq!((coverage.expected, coverage.recorded), (180 + 90, 180 + 80));
}

#[tokio::test]
async fn an_import_removes_reasons_of_every_kind() {
    let database = Database::new().await;
    let store = database.store();
    database.record(&[(BASE, "5.5"), (BASE + 200, "5.5")]).await;
    let seconds: Vec<i64> = (1..).map(|n| BASE + n * 10).take(MissedReason::ALL.len()).collect();
    for (second, reason) in seconds.iter().zip(MissedReason::ALL) {
        store.record_missed(&[*second], reason).await.unwrap();
    }
    let hour = store.hour(cotiza::store::hour_of(BASE)).await.unwrap();
    let added: Vec<_> = seconds.iter().map(|second| observation(second + 1, "5.5")).collect();
    store.add(&hour, &added, &store.schedule().await.unwrap()).await.unwrap();
    assert_eq!(store.missed_reasons(BASE, BASE + 200).await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_import_removes_only_the_reasons_of_its_slots() {
    let database = Database::new().await;
    let store = database.store();
    database.record(&[(BASE, "5.5"), (BASE + 100, "5.5")]).await;
    store.record_missed(&[BASE + 10, BASE + 20, BASE + 30], MissedReason::BadAnswer).await.unwrap();
    let schedule = store.schedule().await.unwrap();
    let hour = store.hour(cotiza::store::hour_of(BASE)).await.unwrap();
    let added = [
        observation(BASE + 12, "5.5"),
        observation(BASE + 22, "5.5"),
        observation(BASE + 5, "1.5"),
    ];
    assert_eq!(store.add(&hour, &added, &schedule).await.unwrap(), Some(2));
    let history = database.history().await;
    let range = range(BASE, BASE + 39);
    let coverage = history.coverage(&range, BASE + 1000).await.unwrap().value;
    assert_eq!((coverage.recorded, coverage.missed.by_reason.iter().sum::<u64>()), (3, 1));
}
