//! Lists as CSV and NDJSON, in both orders, and the forms of times.

use std::time::Duration;

use cotiza::{config::Config, domain::MissedReason, history::Retention};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Database};

/// The start of an hour.
const BASE: i64 = 1_699_999_200;

async fn lines(api: &Api, path: &str, kind: &str) -> Vec<String> {
    let answer = api.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind));
    answer.text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_csv_has_a_header_and_all_prices_of_the_range() {
    let database = Database::new().await;
    let samples: Vec<(i64, &str)> = (0..5000).map(|n| (BASE + 10 * n, "84873600.5")).collect();
    database.record(&samples).await;
    // Most samples are in blocks only, and none is kept in memory: each hour is read when it is sent.
    let history = database.history().await;
    let text = Some(Duration::from_secs(1));
    history.maintain(BASE + 40_000, Retention { text, samples: None }).await.unwrap();
    let mut config = Config::default();
    config.api.memory = bytesize::ByteSize::b(0);
    let api = Api::with_config(&database, &config).await;
    let csv = lines(&api, "/api/ticker-list/?format=csv", "text/csv").await;
    assert_eq!(csv[0], "timestamp,price,source");
    let expected = samples.iter().map(|(at, _)| format!("{at},84873600.5,"));
    assert!(csv[1..].iter().cloned().eq(expected.clone()), "{} lines", csv.len());
    let path = format!("/api/ticker-list/?format=csv&order=desc&since={}", BASE + 100);
    let newest_first = lines(&api, &path, "text/csv").await;
    assert!(
        newest_first[1..].iter().cloned().eq(expected
            .skip(10)
            .collect::<Vec<_>>()
            .into_iter()
            .rev())
    );
    let path = format!("/api/ticker-list/?format=ndjson&until={}", BASE + 10);
    let rows = lines(&api, &path, "application/x-ndjson").await;
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
    for (query, parameter) in [("page=1", "page"), ("page_size=5", "page_size")] {
        let path = format!("/api/ticker-list/?format=csv&{query}");
        assert_eq!(api.get(&path).await.problem(400)["parameter"], parameter);
    }
}

#[tokio::test]
async fn gaps_and_candles_are_available_as_csv() {
    let database = Database::new().await;
    database.record(&[(BASE, "1.5"), (BASE + 60, "2.5"), (BASE + 130, "3.5")]).await;
    database.store().record_missed(&[BASE + 10], MissedReason::TooLate).await.unwrap();
    let api = Api::start(&database).await;
    let range = format!("since={BASE}&until={}", BASE + 139);
    let gaps = lines(&api, &format!("/api/gaps/?format=csv&order=desc&{range}"), "text/csv").await;
    assert_eq!(
        gaps,
        [
            "since,until,slots,exchange_timeout,exchange_error,bad_answer,too_late,worker_lost,\
         redis_away,price_rejected,no_worker,paused,not_scheduled"
                .to_owned(),
            format!("{},{},6,0,0,0,0,0,0,0,0,0,6", BASE + 70, BASE + 129),
            format!("{},{},5,0,0,0,1,0,0,0,0,0,4", BASE + 10, BASE + 59),
        ]
    );
    let path = format!("/api/candles/?interval=2m&format=csv&{range}");
    assert_eq!(
        lines(&api, &path, "text/csv").await,
        [
            "timestamp,open,high,low,close,mean,count,expected,missed,complete".to_owned(),
            format!("{BASE},1.5,2.5,1.5,2.5,2.0,2,12,10,true"),
            format!("{},3.5,3.5,3.5,3.5,3.5,1,12,11,true", BASE + 120),
        ]
    );
    let path = format!("{path}&reasons=true");
    let with_reasons = lines(&api, &path, "text/csv").await;
    assert!(with_reasons[0].ends_with("complete,exchange_timeout,exchange_error,bad_answer,too_late,worker_lost,redis_away,price_rejected,no_worker,paused,not_scheduled"));
    assert_eq!(
        with_reasons[1],
        format!("{BASE},1.5,2.5,1.5,2.5,2.0,2,12,10,true,0,0,0,1,0,0,0,0,0,9")
    );
}

#[tokio::test]
async fn a_csv_contains_gaps_of_more_than_a_page() {
    let database = Database::new().await;
    let samples: Vec<(i64, &str)> = (0..2501).map(|n| (BASE + 20 * n, "1.5")).collect();
    database.record(&samples).await;
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
    let now: Vec<i64> = database.command(&["TIME"]).await;
    let now = now[0];
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
    let milliseconds = api.get("/api/ticker-price/?timestamp=1700006400000").await.problem(400);
    assert_eq!(milliseconds["parameter"], "timestamp");
    let detail = milliseconds["detail"].as_str().unwrap();
    assert!(detail.contains("milliseconds") && detail.contains("such as 1700006400"), "{detail}");
}
