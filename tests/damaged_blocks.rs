//! Damaged blocks: which requests fail, and how the commands and housekeeping handle them.

use cotiza::{
    history::{History, Retention},
    store::keys,
};

use crate::{
    harness::{Api, Database, SOON, text_kept_for},
    sealing::{BASE, HOUR, LATER, blocks, only_blocks, prices, three_hours},
};

/// Changes one byte of the block of an hour.
async fn damage(database: &Database, hour: i64) {
    let hour = hour.to_string();
    let mut block: Vec<u8> = database.command(&["HGET", keys::HOURS, &hour]).await;
    *block.last_mut().unwrap() ^= 1;
    let mut connection = database.client.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("HSET");
    set.arg(keys::HOURS).arg(&hour).arg(block);
    set.query_async::<()>(&mut connection).await.unwrap();
}

/// Returns three sealed hours; the block of the first one is damaged.
async fn damaged_with_text() -> (Database, History) {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    damage(&database, BASE).await;
    (database, history)
}

/// Returns three hours of which only blocks are left; the block of the second one is damaged.
async fn damaged_without_text() -> Database {
    let database = only_blocks().await;
    damage(&database, BASE + HOUR).await;
    database
}

#[tokio::test]
async fn check_reports_a_damaged_block_and_rebuild_restores_it_from_the_text_form() {
    let (database, _history) = damaged_with_text().await;
    let checked = prices(&database, "check").await;
    assert_eq!(checked.code, 1);
    let expected = format!(
        "hour {BASE}: its checksum is wrong; `cotiza prices rebuild` rebuilds it from its text form\n\
         checked 3 hours\n"
    );
    assert_eq!(checked.stdout, expected);
    let rebuilt = prices(&database, "rebuild").await;
    assert_eq!((rebuilt.code, rebuilt.stdout.as_str()), (0, "rebuilt 1 blocks\n"));
    assert_eq!(prices(&database, "check").await.code, 0);
}

#[tokio::test]
async fn a_history_reads_the_text_form_of_an_hour_with_a_damaged_block() {
    let (database, _history) = damaged_with_text().await;
    assert_eq!(database.count().await, 16);
}

#[tokio::test]
async fn housekeeping_rebuilds_a_damaged_block_from_the_text_form() {
    let (database, _history) = damaged_with_text().await;
    let done = database.history().await.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(done.sealed, 1);
    assert_eq!(prices(&database, "check").await.code, 0);
}

#[tokio::test]
async fn a_damaged_block_without_text_form_fails_only_the_requests_that_need_it() {
    let api = Api::start(&damaged_without_text().await).await;
    let average =
        |since: i64, until: i64| format!("/api/average-price/?since={since}&until={until}");
    for (since, until) in [(BASE, BASE + HOUR - 1), (BASE + 2 * HOUR, LATER)] {
        assert_eq!(api.get(&average(since, until)).await.ok()["count"], 5);
    }
    for path in
        [average(0, LATER), average(BASE + HOUR + 5, BASE + HOUR + 6), "/api/ticker-list/".into()]
    {
        let problem = api.get(&path).await.problem(500);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&(BASE + HOUR).to_string()), "{detail}");
    }
    assert_eq!(api.get("/api/latest/").await.ok()["price"], 25.5);
}

#[tokio::test]
async fn the_commands_report_a_damaged_block_without_text_form_as_lost() {
    let database = damaged_without_text().await;
    let checked = prices(&database, "check").await;
    assert_eq!(checked.code, 1);
    assert!(
        checked.stdout.contains(": its checksum is wrong; its samples are lost"),
        "{}",
        checked.stdout
    );
    assert_eq!(prices(&database, "rebuild").await.stdout, "rebuilt 0 blocks\n");
}

#[tokio::test]
async fn housekeeping_keeps_a_damaged_block_without_text_form() {
    let database = damaged_without_text().await;
    database.history().await.maintain(LATER, text_kept_for(24)).await.unwrap();
    assert_eq!(blocks(&database).await, 3);
    let hour = (BASE + HOUR).to_string();
    let block: Option<Vec<u8>> = database.command(&["HGET", keys::HOURS, &hour]).await;
    assert!(block.is_some());
}

#[tokio::test]
async fn check_detects_a_block_that_differs_from_the_text_form() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    // The number of samples is the same, so only a comparison of all samples detects it.
    database.command::<()>(&["ZREM", keys::PRICES, &format!("1.5:{BASE}")]).await;
    database.put_prices(&[(BASE.to_string(), format!("99.5:{BASE}"))]).await;
    let checked = prices(&database, "check").await;
    assert!(checked.stdout.contains("its samples differ from the text"), "{}", checked.stdout);
    assert_eq!(prices(&database, "rebuild").await.code, 0);
    let price = tokio::time::timeout(SOON, async {
        history.refresh().await.unwrap();
        history.price_at(BASE).await.unwrap().value
    });
    assert_eq!(price.await.unwrap(), Some(995_000));
}
