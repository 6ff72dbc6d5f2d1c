//! Upgrade of the data of version 0.1: responses are correct at once, and old keys are deleted.

use std::time::Duration;

use cotiza::{domain::TimeRange, history::Retention};

use crate::harness::{Api, Cotiza, Database, NaiveModel, SOON, eventually};

const BASE: i64 = 1_699_999_200; // the start of an hour

/// Returns a database as version 0.1 stores two hours of samples in slots of 20 s.
async fn stored_by_version_0_1() -> Database {
    let database = Database::new().await;
    for n in 0..360 {
        let second = BASE + n * 20 + 3;
        database.put_prices(&[(&second.to_string(), &format!("{}.5:{second}", n + 1))]).await;
        let quotes = format!("{{prices}}:quotes:{}", second.div_euclid(1000) * 1000);
        let from = format!("buenbit:{}.5:0.25", n + 1);
        database.command::<()>(&["HSET", &quotes, &second.to_string(), &from]).await;
    }
    let frame = format!("1700000000000000:1658880000:1708646400:{}", -1_000_000_000_000_000_i64);
    database.command::<()>(&["HSET", "{prices}:rollups:2", "frame", &frame, "5m:1", "x"]).await;
    database.command::<()>(&["ZADD", "{prices}:gaps", "5", "5:15"]).await;
    database.command::<()>(&["SET", "{prices}:slot", "20"]).await;
    database.command::<()>(&["ZADD", "{prices}:missed:too_late", "1699999100", "1699999100"]).await;
    database
}

#[tokio::test]
async fn responses_are_correct_at_once_and_provenance_is_moved_to_blocks() {
    let database = stored_by_version_0_1().await;
    let before = NaiveModel::read(&database).await;
    let api = Api::start(&database).await;
    let average = api.get("/api/average-price/?since=0&until=9999999999").await.ok();
    assert_eq!((&average["count"], &average["average_price"]), (&360.into(), &181.0.into()));
    assert_eq!(api.get("/api/latest/").await.ok()["source"], "buenbit");
    let coverage = api.get(&format!("/api/coverage/?until={}", BASE + 7199)).await.ok();
    assert_eq!((&coverage["expected"], &coverage["recorded"]), (&360.into(), &360.into()));
    let old = async || {
        let keys: Vec<String> = database.command(&["KEYS", "{prices}*"]).await;
        let is_old = |key: &&String| {
            ["rollups", "quotes", "gaps"].iter().any(|word| key.contains(word))
                || key.ends_with(":slot")
        };
        keys.iter().filter(is_old).count()
    };
    assert_eq!(old().await, 0);

    let text = Some(Duration::from_hours(24));
    let history = database.history().await;
    history.maintain(BASE + 90_000 + 7200, Retention { text, samples: None }).await.unwrap();
    assert_eq!(database.prices().await.len(), 0);
    assert_eq!(NaiveModel::read(&database).await, before);
    let list = api.get("/api/ticker-list/?page_size=1000").await.ok();
    let rows = list["results"].as_array().unwrap();
    assert!(rows.len() == 360 && rows.iter().all(|row| row["source"] == "buenbit"), "{list}");
    let provenance: Vec<String> = database.command(&["KEYS", "{prices}:provenance:*"]).await;
    assert!(provenance.is_empty(), "{provenance:?}");
}

#[tokio::test]
async fn a_history_with_trimmed_samples_is_logged_as_a_warning() {
    let database = stored_by_version_0_1().await;
    let frame = format!("1700000000000000:1658880000:1708646400:{BASE}");
    database.command::<()>(&["HSET", "{prices}:rollups:2", "frame", &frame]).await;
    let port = crate::harness::free_port();
    let listen = format!("127.0.0.1:{port}");
    let api = Cotiza::start(&["api", "--listen", &listen], &[("REDIS_URL", &database.url)]);
    let line = api.wait_for_line("had trimmed samples").await;
    assert!(line.contains(&BASE.to_string()) && line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn samples_of_a_running_worker_of_version_0_1_are_loaded() {
    let database = stored_by_version_0_1().await;
    let history = database.history().await;
    let second = BASE + 7203;
    database.put_prices(&[(&second.to_string(), &format!("9.5:{second}"))]).await;
    eventually(SOON, "the sample is loaded", || async {
        history.refresh().await.unwrap();
        history.total(&TimeRange::default()).await.unwrap().value.count == 361
    })
    .await;
}
