//! The last price and its age, the price at a time, and statistics of the last day and of ranges.

use std::time::Duration;

use cotiza::{
    config::Config,
    domain::{Observation, Provenance},
};
use serde_json::{Value, json};

use crate::harness::{Api, Database, observation};

async fn now(database: &Database) -> i64 {
    database.command::<Vec<i64>>(&["TIME"]).await[0]
}

fn near(value: &Value, expected: i64) -> bool {
    value.as_i64().is_some_and(|value| (expected..expected + 5).contains(&value))
}

#[tokio::test]
async fn the_last_price_has_its_age_and_whether_it_is_stale() {
    let database = Database::new().await;
    let api = Api::start(&database).await;
    api.get("/api/latest/").await.problem(404);
    let recorded = now(&database).await - 25;
    database.record(&[(recorded, "1.5")]).await;
    let api = Api::start(&database).await;
    let latest = api.get("/api/latest/").await.ok();
    assert!(near(&latest["age"], 25), "{latest}");
    assert_eq!(latest["stale"], false);
    let mut strict = Config::default();
    strict.api.stale_after = Some(Duration::from_secs(20));
    let api = Api::with_config(&database, &strict).await;
    assert_eq!(api.get("/api/latest/").await.ok()["stale"], true);
    // The default limit is three slots, regardless of their length.
    let mut short = Config::default();
    short.schedule.every = Duration::from_secs(5);
    let api = Api::with_config(&database, &short).await;
    assert_eq!(api.get("/api/latest/").await.ok()["stale"], true);
}

#[tokio::test]
async fn a_price_older_than_max_age_is_a_503() {
    let database = Database::new().await;
    database.record(&[(now(&database).await - 25, "1.5")]).await;
    let api = Api::start(&database).await;
    api.get("/api/latest/?max_age=1m").await.ok();
    let refused = api.get("/api/latest/?max_age=20").await;
    let problem = refused.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("max_age is 20 s"), "{problem}");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(api.get("/api/latest/?max_age=soon").await.problem(400)["parameter"], "max_age");
}

#[tokio::test]
async fn the_last_price_has_statistics_of_the_last_24_hours() {
    let database = Database::new().await;
    let now = now(&database).await;
    let day = 24 * 3600;
    database.record(&[(now - day - 60, "100"), (now - 3600, "90"), (now - 60, "130")]).await;
    database.record(&[(now, "110")]).await;
    let latest = Api::start(&database).await.get("/api/latest/").await.ok();
    assert_eq!(
        (&latest["change_24h"], &latest["change_percent_24h"]),
        (&10.0.into(), &10.0.into())
    );
    assert_eq!((&latest["high_24h"], &latest["low_24h"]), (&130.0.into(), &90.0.into()));
    assert_eq!(latest["average_24h"], 110.0);
    let share = latest["coverage_24h"].as_f64().unwrap();
    assert!((share - 3.0 / 8640.0).abs() < 1e-4, "{latest}");
    // Without a price near the start of the 24 hours, the change is null.
    let other = Database::new().await;
    other.record(&[(now - day - 7200, "100"), (now, "110")]).await;
    let latest = Api::start(&other).await.get("/api/latest/").await.ok();
    assert_eq!(latest["change_24h"], Value::Null);
}

#[tokio::test]
async fn the_price_at_a_time_is_the_last_one_until_then() {
    let database = Database::new().await;
    let provenance = Provenance {
        source: "buenbit".to_owned(),
        ask: Some("12".parse().unwrap()),
        bid: Some("11.5".parse().unwrap()),
    };
    let sample = observation(1_700_000_003, "12").sample;
    database.record_one(&Observation { sample, provenance: Some(provenance) }).await;
    let api = Api::start(&database).await;
    let at = |query: &str| {
        let (api, path) = (&api, format!("/api/price/?at={query}"));
        async move { api.get(&path).await }
    };
    let expected = json!({
        "timestamp": 1_700_000_003, "age": 57, "price": 12.0, "source": "buenbit", "ask": 12.0, "bid": 11.5,
    });
    assert_eq!(at("1700000060").await.ok(), expected);
    assert_eq!(at("1700000003").await.ok()["age"], 0);
    assert_eq!(
        at("2023-11-14T22:14:23Z").await.ok()["age"],
        60,
        "the default of max_age is a minute"
    );
    let old = at("1700000064").await.problem(404);
    assert!(old["detail"].as_str().unwrap().contains("61 s old"), "{old}");
    assert_eq!(at("1700003603&max_age=1h").await.ok()["age"], 3600);
    let none = at("1700000002").await.problem(404);
    assert!(none["detail"].as_str().unwrap().contains("No price was recorded"), "{none}");
    assert_eq!(at("").await.problem(400)["parameter"], "at");
    assert_eq!(api.get("/api/price/").await.problem(400)["parameter"], "at");
}

#[tokio::test]
async fn a_mean_can_be_weighted_by_time() {
    let database = Database::new().await;
    database.record(&[(1_700_000_000, "1"), (1_700_000_010, "2"), (1_700_000_100, "3")]).await;
    let api = Api::start(&database).await;
    let mean = |query: &str| {
        let range = "since=1700000000&until=1700000140&weight=time";
        let (api, path) = (&api, format!("/api/average-price/?{range}{query}"));
        async move { api.get(&path).await }
    };
    // 10 s of 1, 60 s of 2, 40 s of 3: 250 / 110 in 110 of 140 s.
    let expected = json!({"average_price": 2.27, "count": 3, "covered": 110.0 / 140.0});
    assert_eq!(mean("").await.ok(), expected);
    // 10 s of 1, 90 s of 2, 40 s of 3.
    let expected = json!({"average_price": 2.21, "count": 3, "covered": 1.0});
    assert_eq!(mean("&hold=2m").await.ok(), expected);
    let none = api.get("/api/average-price/?since=5&until=6&weight=time").await.ok();
    assert_eq!(none, json!({"average_price": 0.0, "count": 0, "covered": 0.0}));
    for (query, parameter) in [("weight=price", "weight"), ("hold=5", "hold")] {
        let path = format!("/api/average-price/?since=1&until=5&{query}");
        assert_eq!(api.get(&path).await.problem(400)["parameter"], parameter);
    }
}

#[tokio::test]
async fn a_summary_has_the_statistics_of_a_range() {
    let database = Database::new().await;
    let prices = ["2", "4", "4", "4", "5", "5", "7", "9"];
    let samples = (0..8).map(|n| 1_700_000_000 + 10 * n).zip(prices);
    database.record(&samples.collect::<Vec<_>>()).await;
    let api = Api::start(&database).await;
    let path = "/api/summary/?since=1700000000&until=1700000079";
    let point = |timestamp: i64, price: f64| json!({"timestamp": timestamp, "price": price});
    assert_eq!(
        api.get(path).await.ok(),
        json!({
            "count": 8, "mean": 5.0, "time_weighted_mean": 4.95, "covered": 1.0,
            "standard_deviation": 2.0,
            "min": point(1_700_000_000, 2.0), "max": point(1_700_000_070, 9.0),
            "first": point(1_700_000_000, 2.0), "last": point(1_700_000_070, 9.0),
            "change": 7.0, "change_percent": 350.0, "expected": 8, "recorded": 8, "missed": 0,
        })
    );
    let empty = api.get("/api/summary/?since=5&until=9").await.ok();
    for field in ["mean", "time_weighted_mean", "standard_deviation", "min", "max", "change"] {
        assert_eq!(empty[field], Value::Null, "{field}");
    }
    assert_eq!((&empty["count"], &empty["covered"]), (&0.into(), &0.0.into()));
    let problem = api.get("/api/summary/?since=9&until=5").await.problem(400);
    assert_eq!(problem["parameter"], "since");
}
