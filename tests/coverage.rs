//! Coverage and gaps: `/api/coverage/` and `/api/gaps/` against a naive model, and reasons of missed slots.

use std::collections::BTreeMap;

use cotiza::{
    domain::{MissedReason, MissedSlots, Observation, Order, TimeRange},
    history::History,
    store::hour_of,
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Api, Database, all_time, between, observation, page, reasons};

const BASE: i64 = 1_700_000_000;

fn sample(slot: i64) -> Observation {
    observation(BASE + slot * 10 + 3, "5.5")
}

pub async fn all_gaps(
    history: &History,
    range: &TimeRange,
    now: i64,
) -> Vec<(i64, i64, MissedSlots)> {
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
    let mut found = Vec::new();
    for number in 1.. {
        let (number, size) = page(number, 3);
        let gaps = history.gaps(range, now, number, size, order).await.unwrap().value.unwrap();
        found.extend(gaps.items.iter().map(|gap| (gap.from, gap.until, gap.missed.clone())));
        if gaps.next().is_none() {
            assert_eq!(gaps.count, found.len() as u64);
            break;
        }
    }
    found
}

/// The state of a slot between the first recorded one and the current one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Recorded,
    Missed(MissedReason),
    NotScheduled,
}

/// Returns the gaps of the model with their reasons.
fn naive_gaps(states: &BTreeMap<i64, State>) -> Vec<(i64, i64, MissedSlots)> {
    let mut gaps: Vec<(i64, i64, MissedSlots)> = Vec::new();
    for (&slot, &state) in states {
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

/// Stores for each given slot that it is missed with a reason, or without one a sample. Returns the expected
/// states of the slots from the first recorded one to slot 60.
async fn apply(
    database: &Database,
    events: Vec<(i64, Option<MissedReason>)>,
) -> BTreeMap<i64, State> {
    let (mut missed, mut recorded) = (BTreeMap::new(), Vec::new());
    database.command::<()>(&["FLUSHDB"]).await;
    for (slot, reason) in events {
        if let Some(reason) = reason {
            database.store().record_missed(&[BASE + slot * 10], reason).await.unwrap();
            if !recorded.contains(&slot) {
                missed.entry(slot).or_insert(reason);
            }
        } else {
            database.record_one(&sample(slot)).await;
            missed.remove(&slot);
            recorded.push(slot);
        }
    }
    let state = |slot: i64| match missed.get(&slot) {
        _ if recorded.contains(&slot) => State::Recorded,
        Some(reason) => State::Missed(*reason),
        None => State::NotScheduled,
    };
    let first = recorded.iter().min().copied().unwrap_or(60);
    (first..60).map(|slot| (slot, state(slot))).collect()
}

#[test]
fn coverage_and_gaps_match_a_naive_model() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let reason = prop::option::weighted(0.6, prop::sample::select(MissedReason::ALL.to_vec()));
    let events = prop::collection::vec((0i64..60, reason), 1..60);
    let strategy = (events, 0i64..60, 0i64..60);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
    let checked = TestRunner::new(config).run(&strategy, |(events, one, other)| {
        let states = runtime.block_on(apply(&database, events));
        let history = runtime.block_on(database.history());
        let (first, last) = (one.min(other), one.max(other));
        let part = between(BASE + first * 10, BASE + last * 10);
        for (range, from, until) in [(all_time(), 0, 60), (part, first, last + 1)] {
            let states: BTreeMap<i64, State> =
                states.range(from..until).map(|(slot, state)| (*slot, *state)).collect();
            let has_open_slot = range == all_time() && !states.is_empty();
            runtime.block_on(check(&history, &range, &states, has_open_slot));
        }
        Ok(())
    });
    checked.unwrap();
}

/// Compares coverage and gaps of a range with the states of its ended slots. A range that contains the current
/// slot has one more, open slot.
async fn check(
    history: &History,
    range: &TimeRange,
    states: &BTreeMap<i64, State>,
    has_open_slot: bool,
) {
    // Now is in slot 60, which is not over.
    let now = BASE + 605;
    let expected = naive_gaps(states);
    assert_eq!(all_gaps(history, range, now).await, expected);
    let coverage = history.coverage(range, now).await.unwrap().value;
    let (slots, open) = (states.len() as u64, u64::from(has_open_slot));
    assert_eq!((coverage.expected, coverage.pending), (slots + open, open));
    let missed = expected.iter().map(|(_, _, missed)| missed.total()).sum::<u64>();
    assert_eq!(coverage.missed.total(), missed);
    assert_eq!(coverage.recorded + missed, slots);
}

/// Starts an API with five recorded and five missed slots; two of these have a reason.
async fn ten_slots() -> Api {
    let database = Database::new().await;
    for slot in [0, 1, 5, 6, 9] {
        database.record_one(&sample(slot)).await;
    }
    let missed = [BASE + 20, BASE + 30];
    database.store().record_missed(&missed, MissedReason::ExchangeTimeout).await.unwrap();
    Api::start(&database).await
}

/// Returns the two gaps of [`ten_slots`] as JSON.
fn two_gaps() -> [Value; 2] {
    [
        json!({
            "since": BASE + 20, "until": BASE + 49, "slots": 3,
            "reasons": reasons(&[("exchange_timeout", 2), ("not_scheduled", 1)]),
        }),
        json!({
            "since": BASE + 70, "until": BASE + 89, "slots": 2,
            "reasons": reasons(&[("not_scheduled", 2)]),
        }),
    ]
}

#[tokio::test]
async fn coverage_counts_missed_slots_by_reason() {
    let api = ten_slots().await;
    let coverage = api.get(&format!("/api/coverage/?until={}", BASE + 99)).await.ok();
    let reasons = reasons(&[("exchange_timeout", 2), ("not_scheduled", 3)]);
    let expected = json!({
        "expected": 10, "recorded": 5, "missed": 5, "reasons": reasons, "pending": 0, "share": 0.5,
    });
    assert_eq!(coverage, expected);
    api.get("/api/coverage/?since=x").await.problem(400);
}

#[tokio::test]
async fn gaps_have_their_missed_slots_by_reason() {
    let api = ten_slots().await;
    let gaps = api.get(&format!("/api/gaps?until={}", BASE + 99)).await.ok();
    let expected = json!({"count": 2, "next": null, "previous": null, "results": two_gaps()});
    assert_eq!(gaps, expected);
}

#[tokio::test]
async fn links_lead_through_the_pages_of_gaps() {
    let api = ten_slots().await;
    let first = api.get(&format!("/api/gaps/?until={}&page_size=1", BASE + 99)).await.ok();
    let next = format!("{}/api/gaps/?page=2&page_size=1&until={}", api.origin, BASE + 99);
    assert_eq!(first["next"], next);
    assert_eq!(api.get(&next).await.ok()["results"], json!([two_gaps()[1]]));
    assert_eq!(api.get("/api/gaps/?page=9").await.problem(404)["detail"], "Invalid page.");
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
    let range = between(BASE, BASE + 29);
    let coverage = history.coverage(&range, BASE + 1000).await.unwrap().value;
    assert_eq!((coverage.expected, coverage.recorded, coverage.missed.total()), (3, 2, 1));
    let gaps = all_gaps(&history, &range, BASE + 1000).await;
    assert_eq!((gaps.len(), gaps[0].0, gaps[0].1), (1, BASE + 10, BASE + 20));
    assert_eq!(coverage.share(), Some(2.0 / 3.0));
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
    let hour = store.hour(hour_of(BASE)).await.unwrap();
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
    let hour = store.hour(hour_of(BASE)).await.unwrap();
    let added = [
        observation(BASE + 12, "5.5"),
        observation(BASE + 22, "5.5"),
        observation(BASE + 5, "1.5"),
    ];
    assert_eq!(store.add(&hour, &added, &schedule).await.unwrap(), Some(2));
    let history = database.history().await;
    let range = between(BASE, BASE + 39);
    let coverage = history.coverage(&range, BASE + 1000).await.unwrap().value;
    assert_eq!((coverage.recorded, coverage.missed.by_reason.iter().sum::<u64>()), (3, 1));
}
