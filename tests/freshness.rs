//! The last price and its age, the price at a time, and statistics of the last day and of ranges.

use std::time::Duration;

use cotiza::config::Config;
use serde_json::{Value, json};

use crate::harness::{Api, ApiResponse, Database, quoted};

const DAY: i64 = 24 * 3600;

fn near(value: &Value, expected: i64) -> bool {
    value.as_i64().is_some_and(|value| (expected..expected + 5).contains(&value))
}

/// Returns a database whose only sample was recorded 25 s ago.
async fn recorded_25_s_ago() -> Database {
    let database = Database::new().await;
    database.record(&[(database.now().await - 25, "1.5")]).await;
    database
}

/// Returns whether the last price is stale for an API with a changed configuration.
async fn is_stale(database: &Database, change: impl FnOnce(&mut Config)) -> Value {
    let mut config = Config::default();
    change(&mut config);
    let api = Api::with_config(database, &config).await;
    api.get("/api/latest/").await.ok()["stale"].clone()
}

#[tokio::test]
async fn without_prices_the_last_price_is_a_404() {
    Api::start(&Database::new().await).await.get("/api/latest/").await.problem(404);
}

#[tokio::test]
async fn the_last_price_has_its_age() {
    let api = Api::start(&recorded_25_s_ago().await).await;
    let latest = api.get("/api/latest/").await.ok();
    assert!(near(&latest["age"], 25), "{latest}");
}

#[tokio::test]
async fn the_last_price_is_stale_after_three_slots_or_the_configured_time() {
    let database = recorded_25_s_ago().await;
    assert_eq!(is_stale(&database, |_| {}).await, false);
    let stale_after = Some(Duration::from_secs(20));
    assert_eq!(is_stale(&database, |config| config.api.stale_after = stale_after).await, true);
    let every = Duration::from_secs(5);
    assert_eq!(is_stale(&database, |config| config.schedule.every = every).await, true);
}

#[tokio::test]
async fn a_price_older_than_max_age_is_a_503() {
    let api = Api::start(&recorded_25_s_ago().await).await;
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
    let now = database.now().await;
    database
        .record(&[(now - DAY - 60, "100"), (now - 3600, "90"), (now - 60, "130"), (now, "110")])
        .await;
    let latest = Api::start(&database).await.get("/api/latest/").await.ok();
    assert_eq!(
        (&latest["change_24h"], &latest["change_percent_24h"]),
        (&10.0.into(), &10.0.into())
    );
    assert_eq!((&latest["high_24h"], &latest["low_24h"]), (&130.0.into(), &90.0.into()));
    assert_eq!(latest["average_24h"], 110.0);
    let share = latest["coverage_24h"].as_f64().unwrap();
    assert!((share - 3.0 / 8640.0).abs() < 1e-4, "{latest}");
}

#[tokio::test]
async fn without_a_price_near_the_start_of_the_24_hours_the_change_is_null() {
    let database = Database::new().await;
    let now = database.now().await;
    database.record(&[(now - DAY - 7200, "100"), (now, "110")]).await;
    let latest = Api::start(&database).await.get("/api/latest/").await.ok();
    assert_eq!(latest["change_24h"], Value::Null);
    assert_eq!(latest["high_24h"], 110.0, "the other statistics are known");
}

/// An API with one sample, at 1700000003.
struct OneSample(Api);

impl OneSample {
    async fn new() -> Self {
        let database = Database::new().await;
        database.record_one(&quoted(1_700_000_003, "12", Some("11.5"))).await;
        Self(Api::start(&database).await)
    }

    async fn price_at(&self, query: &str) -> ApiResponse {
        self.0.get(&format!("/api/price/?at={query}")).await
    }
}

#[tokio::test]
async fn the_price_at_a_time_is_the_last_one_until_then() {
    let one = OneSample::new().await;
    let expected = json!({
        "timestamp": 1_700_000_003, "age": 57, "price": 12.0, "source": "buenbit", "ask": 12.0,
        "bid": 11.5,
    });
    assert_eq!(one.price_at("1700000060").await.ok(), expected);
    assert_eq!(one.price_at("1700000003").await.ok()["age"], 0);
    let none = one.price_at("1700000002").await.problem(404);
    assert!(none["detail"].as_str().unwrap().contains("No price was recorded"), "{none}");
}

#[tokio::test]
async fn the_price_at_a_time_is_at_most_max_age_old_by_default_a_minute() {
    let one = OneSample::new().await;
    assert_eq!(one.price_at("2023-11-14T22:14:23Z").await.ok()["age"], 60);
    let old = one.price_at("1700000064").await.problem(404);
    assert!(old["detail"].as_str().unwrap().contains("61 s old"), "{old}");
    assert_eq!(one.price_at("1700003603&max_age=1h").await.ok()["age"], 3600);
}

#[tokio::test]
async fn the_price_at_a_time_requires_the_time() {
    let one = OneSample::new().await;
    assert_eq!(one.price_at("").await.problem(400)["parameter"], "at");
    assert_eq!(one.0.get("/api/price/").await.problem(400)["parameter"], "at");
}

/// Starts an API with the prices 1, 2 and 3, which are valid for 10, 90 and at least 40 s.
async fn three_prices() -> Api {
    let database = Database::new().await;
    database.record(&[(1_700_000_000, "1"), (1_700_000_010, "2"), (1_700_000_100, "3")]).await;
    Api::start(&database).await
}

#[tokio::test]
async fn a_mean_can_be_weighted_by_time() {
    let api = three_prices().await;
    let path = "/api/average-price/?since=1700000000&until=1700000140&weight=time";
    // 10 s of 1, 60 s of 2, 40 s of 3: 250 / 110 in 110 of 140 s.
    let expected = json!({"average_price": 2.27, "count": 3, "covered": 110.0 / 140.0});
    assert_eq!(api.get(path).await.ok(), expected);
    // 10 s of 1, 90 s of 2, 40 s of 3.
    let expected = json!({"average_price": 2.21, "count": 3, "covered": 1.0});
    assert_eq!(api.get(&format!("{path}&hold=2m")).await.ok(), expected);
    let none = api.get("/api/average-price/?since=5&until=6&weight=time").await.ok();
    assert_eq!(none, json!({"average_price": 0.0, "count": 0, "covered": 0.0}));
}

#[tokio::test]
async fn an_invalid_weight_and_a_hold_without_weight_are_refused() {
    let api = three_prices().await;
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
}

#[tokio::test]
async fn the_summary_of_an_empty_range_has_no_statistics() {
    let api = three_prices().await;
    let empty = api.get("/api/summary/?since=5&until=9").await.ok();
    for field in ["mean", "time_weighted_mean", "standard_deviation", "min", "max", "change"] {
        // Indexing alone would also return null for a field that does not exist.
        assert_eq!(empty.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!((&empty["count"], &empty["covered"]), (&0.into(), &0.0.into()));
}

#[tokio::test]
async fn the_summary_of_a_range_that_ends_before_it_begins_is_refused() {
    let api = three_prices().await;
    let problem = api.get("/api/summary/?since=9&until=5").await.problem(400);
    assert_eq!(problem["parameter"], "since");
}
