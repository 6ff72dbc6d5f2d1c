//! Candles: compared with a brute-force model, in time zones with clock changes, and as the API returns them.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Datelike as _};
use cotiza::{
    domain::{Candle, Candles, MissedReason, Order, TimeRange, Timestamp, UnixTime},
    history::{History, Limits},
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::harness::{Api, Database, NaiveModel, between, slots_of, unique_members};

/// 2023-11-14T22:00:00Z, the start of an hour.
const BASE: i64 = 1_699_999_200;
const NOW: i64 = BASE + 20_000_000;

/// Returns the number of the interval that contains a second, by the local calendar of the zone.
fn interval_number(second: i64, interval: &str, zone: chrono_tz::Tz) -> i64 {
    let date = DateTime::from_timestamp(second, 0).unwrap().with_timezone(&zone).date_naive();
    let days = i64::from(date.to_epoch_days());
    match interval {
        "10s" => second.div_euclid(10),
        "1h" => second.div_euclid(3600),
        "7h" => second.div_euclid(7 * 3600),
        "1d" => days,
        // 1970-01-01 was a Thursday.
        "1w" => (days + 3).div_euclid(7),
        "1M" => i64::from(date.year() * 12 + date.month0().cast_signed()),
        _ => panic!("{interval}"),
    }
}

fn sample() -> impl Strategy<Value = (i64, i64)> {
    let second = prop_oneof![0i64..8000, 0i64..180_000, 0i64..15_000_000];
    (second, 1i64..9_000_000_000_000_000)
}

async fn all_candles(history: &History, range: &TimeRange, wanted: &Candles) -> Vec<Candle> {
    let (mut candles, mut range) = (Vec::new(), *range);
    loop {
        let (found, next) = history.candles(&range, wanted, NOW).await.unwrap().value;
        assert!(found.len() <= wanted.limit);
        candles.extend(found);
        let Some(next) = next else { return candles };
        let next = Some(UnixTime::from_seconds(next));
        range = match wanted.order {
            Order::Ascending => TimeRange::new(next, range.until()).unwrap(),
            Order::Descending => TimeRange::new(range.since(), next).unwrap(),
        };
    }
}

/// Compares the candles of a range with candles computed by grouping all samples by interval.
async fn check(
    history: &History,
    naive: &NaiveModel,
    (since, until): (i64, i64),
    wanted: &Candles,
    interval: &str,
) {
    let slots = slots_of(10);
    let zone: chrono_tz::Tz = wanted.zone.to_string().parse().unwrap();
    let of = |second| interval_number(second, interval, zone);
    let mut groups: BTreeMap<i64, NaiveModel> = BTreeMap::new();
    for sample in &naive.0 {
        groups.entry(of(sample.0.second())).or_default().0.push(*sample);
    }
    groups.retain(|group, _| (of(since)..=of(until)).contains(group));
    let range = between(since, until);
    let mut candles = all_candles(history, &range, wanted).await;
    wanted.order.sort(&mut candles);
    for candle in &candles {
        let Candle { start, end, .. } = *candle;
        let group = of(start);
        assert_eq!([of(start - 1) < group, of(end - 1) == group, of(end) > group], [true; 3]);
        let first = slots.containing(naive.0[0].0.second()).start().max(start);
        let expected = if first < end { slots.count(first, end) } else { 0 };
        assert_eq!(candle.expected, expected, "{candle:?}");
        assert_eq!(candle.missed, expected - candle.summary.slots);
    }
    let (empty, full): (Vec<&Candle>, Vec<&Candle>) =
        candles.iter().partition(|candle| candle.summary.count == 0);
    let summaries: Vec<_> = full.iter().map(|it| (of(it.start), it.summary)).collect();
    let expected: Vec<_> = groups.iter().map(|(key, group)| (*key, group.summary(slots))).collect();
    assert_eq!(summaries, expected, "{interval} {zone} {range:?}");
    if !wanted.filled {
        assert!(empty.is_empty());
        return;
    }
    for candle in empty {
        let last = naive.0.iter().rfind(|(at, _)| *at < Timestamp::from_second(candle.start));
        assert_eq!(candle.filled, last.map(|(_, price)| *price), "{candle:?}");
    }
    let is_next = |pair: &[Candle]| pair[0].end == pair[1].start;
    assert!(candles.windows(2).all(is_next), "{candles:?}");
}

#[test]
fn candles_match_a_brute_force_model() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let zone = prop::sample::select(vec![
        "UTC",
        "America/Argentina/Buenos_Aires",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "America/Santiago",
    ]);
    let interval = prop::sample::select(vec!["10s", "1h", "7h", "1d", "1w", "1M"]);
    let query = (interval, zone, 0i64..16_000_000, 0i64..16_000_000, 1usize..40, 0usize..2);
    let queries = prop::collection::vec((query, any::<bool>()), 1..10);
    let strategy = (prop::collection::vec(sample(), 1..100), queries, any::<bool>());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) };
    let checked = TestRunner::new(config).run(&strategy, |(samples, queries, fits)| {
        runtime.block_on(async {
            database.command::<()>(&["FLUSHDB"]).await;
            let samples: Vec<_> = samples.iter().map(|(at, price)| (BASE + at, *price)).collect();
            database.put_prices(&unique_members(&samples)).await;
            let memory = if fits { usize::MAX } else { 0 };
            let limits = Limits { memory, stale_for: Duration::MAX };
            let history = History::new(database.store(), limits);
            history.refresh().await.unwrap();
            let naive = NaiveModel::read(&database).await;
            for ((interval, zone, one, other, limit, order), filled) in queries {
                let order = [Order::Ascending, Order::Descending][order];
                // Limits the number of filled candles.
                let filled = filled && !["10s", "1h"].contains(&interval);
                let (text, zone) = (interval, zone.parse().unwrap());
                let interval = text.parse().unwrap();
                let wanted = Candles { interval, zone, filled, order, limit };
                let ends = (BASE + one.min(other), BASE + one.max(other));
                check(&history, &naive, ends, &wanted, text).await;
            }
        });
        Ok(())
    });
    checked.unwrap();
}

/// Starts an API with three samples within two minutes and one reported missed slot.
async fn api() -> Api {
    let database = Database::new().await;
    database.record(&[(BASE, "10"), (BASE + 30, "12"), (BASE + 70, "11")]).await;
    let store = database.store();
    store.record_missed(&[BASE + 10], MissedReason::ExchangeTimeout).await.unwrap();
    Api::start(&database).await
}

#[tokio::test]
async fn a_candle_has_prices_and_counts_of_recorded_and_missed_slots() {
    let api = api().await;
    let path = format!("/api/candles/?interval=1m&since={BASE}&until={}&reasons=true", BASE + 119);
    let found = api.get(&path).await.ok();
    let [first, second] = found["results"].as_array().unwrap().as_slice() else {
        panic!("{found}")
    };
    assert_eq!(first["timestamp"], BASE);
    for (field, value) in [("open", 10.0), ("high", 12.0), ("low", 10.0), ("close", 12.0)] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!((&first["mean"], &first["count"]), (&11.0.into(), &2.into()));
    assert_eq!((&first["expected"], &first["missed"]), (&6.into(), &4.into()));
    assert_eq!(first["reasons"]["exchange_timeout"], 1);
    assert_eq!(first["reasons"]["not_scheduled"], 3);
    assert_eq!(first["complete"], true);
    assert_eq!(second["timestamp"], BASE + 60);
    let path = format!("/api/candles/?interval=1m&since={BASE}&until={}", BASE + 119);
    assert!(api.get(&path).await.ok()["results"][0]["reasons"].is_null());
}

#[tokio::test]
async fn links_lead_through_all_candles_in_both_orders() {
    let api = api().await;
    for (order, expected) in [("asc", [0, 30, 70]), ("desc", [70, 30, 0])] {
        let mut link =
            format!("/api/candles/?interval=10s&since={BASE}&until=now&limit=1&order={order}");
        let mut found = Vec::new();
        for _ in 0..3 {
            let answer = api.get(&link).await;
            let page = answer.ok();
            found.push(page["results"][0]["timestamp"].as_i64().unwrap() - BASE);
            let Some(next) = page["next"].as_str() else { break };
            assert_eq!(answer.headers["link"], format!("<{next}>; rel=\"next\""));
            next.clone_into(&mut link);
        }
        assert_eq!(found, expected, "{order}");
    }
}

#[tokio::test]
async fn without_since_the_newest_candles_are_returned() {
    let api = api().await;
    let until = BASE + 79;
    for (query, expected) in [
        // Regardless of their age.
        ("interval=10s&limit=2".to_owned(), vec![BASE + 30, BASE + 70]),
        ("interval=10s&limit=3".to_owned(), vec![BASE, BASE + 30, BASE + 70]),
        ("interval=10s&order=desc&limit=2".to_owned(), vec![BASE + 70, BASE + 30]),
        ("interval=1m".to_owned(), vec![BASE, BASE + 60]),
        (format!("interval=10s&until={until}&limit=2"), vec![BASE + 30, BASE + 70]),
        (format!("interval=10s&until={}&limit=2", BASE + 69), vec![BASE, BASE + 30]),
        // 2023-11-14T00:00:00Z
        ("interval=1d&limit=1".to_owned(), vec![1_699_920_000]),
        (
            format!("interval=10s&until={until}&limit=3&fill=previous"),
            vec![BASE + 50, BASE + 60, BASE + 70],
        ),
    ] {
        let found = api.get(&format!("/api/candles/?{query}")).await.ok();
        let results = found["results"].as_array().unwrap();
        let times: Vec<i64> = results.iter().map(|it| it["timestamp"].as_i64().unwrap()).collect();
        assert_eq!(times, expected, "{query}");
        assert!(query.contains("desc") || found["next"].is_null(), "{query}");
    }
}

#[tokio::test]
async fn an_error_names_the_invalid_parameter() {
    let api = api().await;
    for (query, parameter, says) in [
        ("interval=1y", "interval", "15m"),
        ("interval=15s", "interval", "multiple of a slot"),
        ("time_zone=Mars", "time_zone", "America/Argentina/Buenos_Aires"),
        ("fill=linear", "fill", "none or previous"),
        ("limit=0", "limit", "1 to 5000"),
        ("limit=5001", "limit", "1 to 5000"),
        ("order=up", "order", "asc"),
        ("format=xml", "format", "json or csv or ndjson"),
        ("format=csv&limit=5", "limit", "omit it"),
        ("since=now&until=-1h", "since", "is after until"),
    ] {
        let problem = api.get(&format!("/api/candles/?{query}")).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{query}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{query}: {problem}");
    }
}
