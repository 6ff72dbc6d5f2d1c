//! Lists as CSV and NDJSON, in both orders, and the forms of times.

use std::time::Duration;

use cotiza::{config::Config, domain::MissedReason, history::Retention};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Database, REASONS, samples};

/// The start of an hour.
const BASE: i64 = 1_699_999_200;

async fn lines(api: &Api, path: &str, kind: &str) -> Vec<String> {
    let answer = api.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind));
    answer.text.lines().map(str::to_owned).collect()
}

/// Starts an API with 5000 samples, one every 10 s. Most of them are in blocks only, and none is kept in memory:
/// each hour is read when it is sent.
async fn without_memory() -> Api {
    let database = Database::new().await;
    database.record(&samples(BASE).every(10).count(5000).price("84873600.5")).await;
    let retention = Retention { text: Some(Duration::from_secs(1)), samples: None };
    database.history().await.maintain(BASE + 40_000, retention).await.unwrap();
    let mut config = Config::default();
    config.api.memory = bytesize::ByteSize::b(0);
    Api::with_config(&database, &config).await
}

/// Returns the line of a CSV for the n-th sample.
fn row(n: i64) -> String {
    format!("{},84873600.5,", BASE + 10 * n)
}

#[tokio::test]
async fn a_csv_has_a_header_and_all_prices_of_the_range() {
    let csv = lines(&without_memory().await, "/api/ticker-list/?format=csv", "text/csv").await;
    assert_eq!(csv[0], "timestamp,price,source");
    assert!(csv[1..].iter().cloned().eq((0..5000).map(row)), "{} lines", csv.len());
}

#[tokio::test]
async fn a_csv_can_begin_with_the_newest_price() {
    let path = format!("/api/ticker-list/?format=csv&order=desc&since={}", BASE + 100);
    let csv = lines(&without_memory().await, &path, "text/csv").await;
    assert!(csv[1..].iter().cloned().eq((10..5000).rev().map(row)), "{} lines", csv.len());
}

#[tokio::test]
async fn ndjson_has_an_object_for_each_price_of_the_range() {
    let path = format!("/api/ticker-list/?format=ndjson&until={}", BASE + 10);
    let rows = lines(&without_memory().await, &path, "application/x-ndjson").await;
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let row = |at: i64| json!({"timestamp": at, "price": 84_873_600.5, "source": null});
    assert_eq!(rows, [row(BASE), row(BASE + 10)]);
}

#[tokio::test]
async fn the_accept_header_selects_the_format() {
    let database = Database::new().await;
    database.record(&[(BASE, "1.5")]).await;
    let api = Api::start(&database).await;
    for (accept, kind) in [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/html,*/*;q=0.8", "application/json"),
    ] {
        let answer = api.request(Method::GET, "/api/ticker-list/", &[("accept", accept)]).await;
        assert_eq!(answer.headers["content-type"], kind, "{accept}");
    }
}

#[tokio::test]
async fn a_csv_has_no_pages() {
    let api = Api::start(&Database::new().await).await;
    for (query, parameter) in [("page=1", "page"), ("page_size=5", "page_size")] {
        let path = format!("/api/ticker-list/?format=csv&{query}");
        assert_eq!(api.get(&path).await.problem(400)["parameter"], parameter);
    }
}

/// The range of the samples of [`three_samples`], as parameters.
const RANGE: &str = "since=1699999200&until=1699999339";

/// Starts an API with three samples within 140 s and one reported missed slot.
async fn three_samples() -> Api {
    let database = Database::new().await;
    database.record(&[(BASE, "1.5"), (BASE + 60, "2.5"), (BASE + 130, "3.5")]).await;
    database.store().record_missed(&[BASE + 10], MissedReason::TooLate).await.unwrap();
    Api::start(&database).await
}

#[tokio::test]
async fn gaps_are_available_as_csv() {
    let path = format!("/api/gaps/?format=csv&order=desc&{RANGE}");
    assert_eq!(
        lines(&three_samples().await, &path, "text/csv").await,
        [
            format!("since,until,slots,{}", REASONS.join(",")),
            format!("{},{},6,0,0,0,0,0,0,0,0,0,6", BASE + 70, BASE + 129),
            format!("{},{},5,0,0,0,1,0,0,0,0,0,4", BASE + 10, BASE + 59),
        ]
    );
}

#[tokio::test]
async fn candles_are_available_as_csv() {
    let path = format!("/api/candles/?interval=2m&format=csv&{RANGE}");
    assert_eq!(
        lines(&three_samples().await, &path, "text/csv").await,
        [
            "timestamp,open,high,low,close,mean,count,expected,missed,complete".to_owned(),
            format!("{BASE},1.5,2.5,1.5,2.5,2.0,2,12,10,true"),
            format!("{},3.5,3.5,3.5,3.5,3.5,1,12,11,true", BASE + 120),
        ]
    );
}

#[tokio::test]
async fn a_csv_of_candles_can_have_the_reasons() {
    let path = format!("/api/candles/?interval=2m&format=csv&{RANGE}&reasons=true");
    let csv = lines(&three_samples().await, &path, "text/csv").await;
    assert!(csv[0].ends_with(&format!("complete,{}", REASONS.join(","))), "{}", csv[0]);
    assert_eq!(csv[1], format!("{BASE},1.5,2.5,1.5,2.5,2.0,2,12,10,true,0,0,0,1,0,0,0,0,0,9"));
}

#[tokio::test]
async fn a_csv_contains_gaps_of_more_than_a_page() {
    let database = Database::new().await;
    database.record(&samples(BASE).every(20).count(2501).price("1.5")).await;
    let api = Api::start(&database).await;
    let path = format!("/api/gaps/?format=csv&until={}", BASE + 20 * 2500);
    let gaps = lines(&api, &path, "text/csv").await;
    assert_eq!(gaps.len(), 2501);
    let starts: Vec<i64> =
        gaps[1..].iter().map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(starts.iter().copied().eq((0..2500).map(|n| BASE + 20 * n + 10)));
}

#[tokio::test]
async fn times_may_be_days_or_relative_to_now() {
    let database = Database::new().await;
    let now = database.now().await;
    let day = "2023-11-15"; // from 1700006400 on
    database.record(&[(1_700_006_399, "1"), (1_700_006_400, "2"), (1_700_092_799, "3")]).await;
    database.record(&[(1_700_092_800, "4"), (now - 90, "5"), (now, "6")]).await;
    let api = Api::start(&database).await;
    for (since, until, mean, count) in [
        (day, day, 2.5, 2),
        (day, "2023-11-16", 3.0, 3),
        ("-1m", "now", 6.0, 1),
        ("-2m", "-1m", 5.0, 1),
        ("-1h", "9999999999", 5.5, 2),
    ] {
        let path = format!("/api/average-price/?since={since}&until={until}");
        let expected = json!({"average_price": mean, "count": count});
        assert_eq!(api.get(&path).await.ok(), expected, "{since} to {until}");
    }
}

#[tokio::test]
async fn a_time_in_milliseconds_is_refused_with_a_suggestion() {
    let api = Api::start(&Database::new().await).await;
    let milliseconds = api.get("/api/ticker-price/?timestamp=1700006400000").await.problem(400);
    assert_eq!(milliseconds["parameter"], "timestamp");
    let detail = milliseconds["detail"].as_str().unwrap();
    assert!(detail.contains("milliseconds") && detail.contains("such as 1700006400"), "{detail}");
}
