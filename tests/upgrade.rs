//! Upgrade of the data of version 0.1: responses are correct at once, and old keys are deleted.

use cotiza::{
    domain::MissedReason,
    store::keys::{self, v0_1},
};

use crate::harness::{
    Api, Cotiza, Database, NaiveModel, SOON, all_time, eventually, free_port, members, samples,
    text_kept_for,
};

const BASE: i64 = 1_699_999_200; // the start of an hour

/// Returns a database as version 0.1 stores two hours of samples in slots of 20 s.
async fn stored_by_version_0_1() -> Database {
    let database = Database::new().await;
    let stored = samples(BASE + 3).every(20).count(360).prices(|n| format!("{}.5", n + 1));
    database.put_prices(&members(&stored)).await;
    for (second, price) in stored {
        let quotes = format!("{}{}", v0_1::QUOTES, second.div_euclid(1000) * 1000);
        let from = format!("buenbit:{price}:0.25");
        database.command::<()>(&["HSET", &quotes, &second.to_string(), &from]).await;
    }
    set_frame(&database, -1_000_000_000_000_000).await;
    database.command::<()>(&["HSET", v0_1::ROLLUPS[1], "5m:1", "x"]).await;
    database.command::<()>(&["ZADD", v0_1::GAPS, "5", "5:15"]).await;
    database.command::<()>(&["SET", v0_1::SLOT, "20"]).await;
    let too_late = keys::missed(MissedReason::TooLate);
    database.command::<()>(&["ZADD", &too_late, "1699999100", "1699999100"]).await;
    database
}

/// Sets the description of the sums of version 0.1: samples before the unix second `trimmed` were deleted.
async fn set_frame(database: &Database, trimmed: i64) {
    let frame = format!("1700000000000000:1658880000:1708646400:{trimmed}");
    database.command::<()>(&["HSET", v0_1::ROLLUPS[1], "frame", &frame]).await;
}

/// Returns the keys of version 0.1 that are no longer used.
async fn old_keys(database: &Database) -> Vec<String> {
    let is_old = |key: &String| {
        let key = key.as_str();
        v0_1::ROLLUPS.contains(&key)
            || [v0_1::GAPS, v0_1::SLOT].contains(&key)
            || key.starts_with(v0_1::QUOTES)
    };
    database.keys("{prices}").await.into_iter().filter(is_old).collect()
}

#[tokio::test]
async fn responses_are_correct_at_once() {
    let api = Api::start(&stored_by_version_0_1().await).await;
    let average = api.get("/api/average-price/?since=0&until=9999999999").await.ok();
    assert_eq!((&average["count"], &average["average_price"]), (&360.into(), &181.0.into()));
    assert_eq!(api.get("/api/latest/").await.ok()["source"], "buenbit");
    let coverage = api.get(&format!("/api/coverage/?until={}", BASE + 7199)).await.ok();
    assert_eq!((&coverage["expected"], &coverage["recorded"]), (&360.into(), &360.into()));
}

#[tokio::test]
async fn old_keys_are_deleted() {
    let database = stored_by_version_0_1().await;
    assert!(old_keys(&database).await.len() > 3);
    let _api = Api::start(&database).await;
    assert_eq!(old_keys(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn provenance_is_moved_to_blocks() {
    let database = stored_by_version_0_1().await;
    let before = NaiveModel::read(&database).await;
    let api = Api::start(&database).await;
    assert!(!database.keys(keys::PROVENANCE).await.is_empty());
    let history = database.history().await;
    history.maintain(BASE + 90_000 + 7200, text_kept_for(24)).await.unwrap();
    assert_eq!(database.prices().await.len(), 0);
    assert_eq!(NaiveModel::read(&database).await, before);
    let list = api.get("/api/ticker-list/?page_size=1000").await.ok();
    let rows = list["results"].as_array().unwrap();
    assert!(rows.len() == 360 && rows.iter().all(|row| row["source"] == "buenbit"), "{list}");
    assert_eq!(database.keys(keys::PROVENANCE).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_history_with_trimmed_samples_is_logged_as_a_warning() {
    let database = stored_by_version_0_1().await;
    set_frame(&database, BASE).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let api = Cotiza::start(&["api", "--listen", &listen], &[("REDIS_URL", &database.url)]);
    let line = api.wait_for_line("had trimmed samples").await;
    assert!(line.contains(&BASE.to_string()) && line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn samples_of_a_running_worker_of_version_0_1_are_loaded() {
    let database = stored_by_version_0_1().await;
    let history = database.history().await;
    let second = BASE + 7203;
    database.put_prices(&[(second.to_string(), format!("9.5:{second}"))]).await;
    eventually(SOON, "the sample is loaded", || async {
        history.refresh().await.unwrap();
        history.total(&all_time()).await.unwrap().value.count == 361
    })
    .await;
}
