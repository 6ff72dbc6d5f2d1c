//! Hours are sealed, lose their text form and get it back.

use std::time::Duration;

use cotiza::{
    domain::{Observation, Schedule},
    history::{History, Maintained, Retention},
    store::{BlockState, keys},
};

use crate::harness::{
    Api, Database, NaiveModel, Output, UNLIMITED, all_time, members, quoted, run, samples,
    slots_of, text_kept_for,
};

pub const BASE: i64 = 1_699_999_200; // the start of an hour
pub const HOUR: i64 = 3600;
/// A time long after all samples of these tests.
pub const LATER: i64 = BASE + 100 * HOUR;

/// Returns a database with samples in three hours; one of them has the format of the old stack.
pub async fn three_hours() -> Database {
    let database = Database::new().await;
    for hour in 0..3 {
        for n in 0..5 {
            let price = format!("{}.5", 10 * hour + n + 1);
            let bid = (n % 2 == 0).then_some("0.25");
            database.record_one(&quoted(BASE + hour * HOUR + n * 70, &price, bid)).await;
        }
    }
    database.put_prices(&[(format!("{}.25", BASE + 4000), "77.125")]).await;
    database
}

async fn count(history: &History) -> u64 {
    history.total(&all_time()).await.unwrap().value.count
}

/// Runs a command of `cotiza prices`.
pub async fn prices(database: &Database, command: &str) -> Output {
    run(&["prices", command], &[("REDIS_URL", &database.url)]).await
}

pub async fn blocks(database: &Database) -> usize {
    database.command(&["HLEN", keys::HOURS]).await
}

/// Returns all samples with their provenance.
async fn everything(database: &Database) -> Vec<Observation> {
    let hours = [0, 1, 2]
        .map(async |hour| database.store().hour(BASE + hour * HOUR).await.unwrap().observations);
    futures_util::future::join_all(hours).await.concat()
}

/// Returns three hours with a history that has sealed the two of them that have ended.
async fn two_sealed_hours() -> (Database, History) {
    let database = three_hours().await;
    let history = database.history().await;
    let done = history.maintain(BASE + 2 * HOUR + 60, text_kept_for(48)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 2, dropped: 0, deleted: 0 });
    (database, history)
}

/// Returns three hours of which only blocks are left.
pub async fn only_blocks() -> Database {
    let database = three_hours().await;
    let done = database.history().await.maintain(LATER, text_kept_for(24)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 0, dropped: 3, deleted: 0 });
    database
}

#[tokio::test]
async fn an_hour_is_sealed_once_when_it_has_ended() {
    let (database, history) = two_sealed_hours().await;
    assert_eq!((blocks(&database).await, database.prices().await.len()), (2, 16));
    let again = history.maintain(BASE + 2 * HOUR + 60, text_kept_for(48)).await.unwrap();
    assert_eq!(again, Maintained::default());
}

#[tokio::test]
async fn the_provenance_of_a_sealed_hour_is_moved_to_its_block() {
    let original = everything(&three_hours().await).await;
    let (database, _history) = two_sealed_hours().await;
    let keys = database.keys(keys::PROVENANCE).await;
    assert_eq!(keys, [keys::provenance(BASE + 2 * HOUR)], "only the open hour has this key");
    assert_eq!(everything(&database).await, original);
}

#[tokio::test]
async fn the_text_form_of_a_sealed_hour_is_dropped_after_its_retention() {
    let (database, history) = two_sealed_hours().await;
    let before = NaiveModel::read(&database).await;
    let done = history.maintain(LATER, text_kept_for(99)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 1, dropped: 1, deleted: 0 });
    assert_eq!(database.prices().await.len(), 11);
    let done = history.maintain(LATER, text_kept_for(24)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 0, dropped: 2, deleted: 0 });
    assert_eq!((blocks(&database).await, database.prices().await.len()), (3, 0));
    assert_eq!(NaiveModel::read(&database).await, before);
}

#[tokio::test]
async fn provenance_is_served_from_blocks() {
    let api = Api::start(&only_blocks().await).await;
    let latest = api.get("/api/latest/").await.ok();
    assert_eq!((&latest["source"], &latest["bid"]), (&"buenbit".into(), &0.25.into()));
    let list = api.get("/api/ticker-list/?page_size=100").await.ok();
    let sources = list["results"].as_array().unwrap().iter();
    assert_eq!(sources.filter(|row| row["source"] == "buenbit").count(), 15);
}

#[tokio::test]
async fn an_hour_that_changed_since_it_was_read_is_not_sealed() {
    let database = three_hours().await;
    let (store, schedule) = (database.store(), Schedule::new(slots_of(10)));
    let stored = store.hour(BASE).await.unwrap();
    database.record(&[(BASE + 1000, "9.5")]).await;
    assert!(!store.seal(&stored, &schedule).await.unwrap());
    let stored = store.hour(BASE).await.unwrap();
    assert!(store.seal(&stored, &schedule).await.unwrap());
    assert!(!store.seal(&stored, &schedule).await.unwrap(), "it was sealed after it was read");
}

#[tokio::test]
async fn the_text_form_of_an_hour_is_not_dropped_if_the_block_may_lack_a_sample() {
    let database = three_hours().await;
    let (store, schedule) = (database.store(), Schedule::new(slots_of(10)));
    let stored = store.hour(BASE).await.unwrap();
    assert!(store.seal(&stored, &schedule).await.unwrap());
    assert!(!store.drop_text(&stored).await.unwrap(), "it was read before it was sealed");
    let sealed = store.hour(BASE).await.unwrap();
    assert_eq!(sealed.block_state, BlockState::Current);
    database.record(&[(BASE + 1010, "9.5")]).await;
    assert!(!store.drop_text(&sealed).await.unwrap(), "it changed after it was read");
    let outdated = store.hour(BASE).await.unwrap();
    assert_eq!(outdated.block_state, BlockState::Outdated);
    assert!(!store.drop_text(&outdated).await.unwrap(), "the block lacks a sample");
    assert_eq!(outdated.observations.len(), 6);
}

#[tokio::test]
async fn a_manually_edited_hour_is_sealed_again() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    database.command::<()>(&["ZREM", keys::PRICES, &format!("1.5:{BASE}")]).await;
    database.put_prices(&[((BASE + 7000).to_string(), "3.5")]).await;
    let done = history.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(done.sealed, 2);
    let stored = database.store().hour(BASE).await.unwrap();
    assert_eq!((stored.block_state, stored.observations.len()), (BlockState::Current, 4));
}

#[tokio::test]
async fn the_block_of_an_hour_without_samples_is_deleted() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(blocks(&database).await, 3);
    for member in database.prices().await.iter().take(5) {
        database.command::<()>(&["ZREM", keys::PRICES, member]).await;
    }
    history.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(blocks(&database).await, 2);
}

/// Adds two late samples in text form and returns all samples.
async fn add_late_samples(database: &Database) -> NaiveModel {
    let late = [(BASE + 3, "8.5"), (BASE + 9000, "9.5")];
    database.put_prices(&late.map(|(second, price)| (second.to_string(), price))).await;
    let all = NaiveModel::read(database).await;
    assert_eq!(all.0.len(), 18);
    all
}

#[tokio::test]
async fn late_samples_of_a_sealed_hour_are_counted() {
    let database = only_blocks().await;
    let history = database.history().await;
    add_late_samples(&database).await;
    history.refresh().await.unwrap();
    assert_eq!(count(&history).await, 18);
    assert_eq!(count(&database.history().await).await, 18);
}

#[tokio::test]
async fn late_samples_of_a_sealed_hour_are_added_to_its_block() {
    let database = only_blocks().await;
    let history = database.history().await;
    let all = add_late_samples(&database).await;
    history.maintain(LATER, text_kept_for(24)).await.unwrap();
    assert_eq!(database.prices().await.len(), 0);
    assert_eq!(NaiveModel::read(&database).await, all);
    history.refresh().await.unwrap();
    assert_eq!(count(&history).await, 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_maintenance_loses_and_duplicates_no_sample() {
    let database = Database::new().await;
    let stored = samples(BASE).every(600).count(600).prices(|n| format!("{}.5", n + 1));
    database.put_prices(&members(&stored)).await;
    let before = NaiveModel::read(&database).await;
    let end = BASE + 600 * 600 + 48 * HOUR;
    for micros in (0..40).map(|n| 300 * n) {
        let history = History::new(database.store(), UNLIMITED);
        let work = tokio::spawn(async move { history.maintain(end, text_kept_for(24)).await });
        tokio::time::sleep(Duration::from_micros(micros)).await;
        work.abort();
        assert_eq!(NaiveModel::read(&database).await, before);
    }
    database.history().await.maintain(end, text_kept_for(24)).await.unwrap();
    assert_eq!((database.prices().await.len(), blocks(&database).await), (0, 100));
    assert_eq!(NaiveModel::read(&database).await, before);
}

#[tokio::test]
async fn unseal_restores_the_text_form_of_all_hours() {
    let database = three_hours().await;
    let (before, text) = (NaiveModel::read(&database).await, database.prices().await);
    database.history().await.maintain(LATER, text_kept_for(98)).await.unwrap();
    assert_eq!(database.prices().await.len(), 5);
    let unsealed = prices(&database, "unseal").await;
    assert_eq!(
        (unsealed.code, unsealed.stdout.as_str()),
        (0, "restored the text form of 2 hours\n")
    );
    assert_eq!(NaiveModel::read(&database).await, before);
    let legacy = format!("77.125:{}.25", BASE + 4000);
    let restored = database.prices().await;
    assert!(restored.contains(&legacy), "{restored:?}");
    let without = |members: Vec<String>, legacy: &str| {
        members.into_iter().filter(|member| member != legacy).collect::<Vec<_>>()
    };
    assert_eq!(without(restored, &legacy), without(text, "77.125"));
    let again = prices(&database, "unseal").await;
    assert_eq!(again.stdout, "restored the text form of 0 hours\n");
}
