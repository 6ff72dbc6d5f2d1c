//! Hours are sealed, lose their text form and get it back; damaged blocks.

use std::time::Duration;

use cotiza::{
    domain::{Observation, Provenance, Schedule, Slots, TimeRange},
    history::{History, Maintained, Retention},
    store::{BlockState, keys},
};

use crate::harness::{Api, Database, NaiveModel, SOON, UNLIMITED, observation, run};

const BASE: i64 = 1_699_999_200; // the start of an hour
const HOUR: i64 = 3600;
/// A time long after all samples of these tests.
const LATER: i64 = BASE + 100 * HOUR;

/// Returns a database with samples in three hours; one of them has the format of the old stack.
async fn three_hours() -> Database {
    let database = Database::new().await;
    for hour in 0..3 {
        for n in 0..5 {
            let mut sample =
                observation(BASE + hour * HOUR + n * 70, &format!("{}.5", 10 * hour + n + 1));
            let ask = Some(sample.sample.price);
            let bid = (n % 2 == 0).then(|| "0.25".parse().unwrap());
            sample.provenance = Some(Provenance { source: "buenbit".to_owned(), ask, bid });
            database.record_one(&sample).await;
        }
    }
    database.put_prices(&[(&format!("{}.25", BASE + 4000), "77.125")]).await;
    database
}

fn text_for(hours: u64) -> Retention {
    Retention { text: Some(Duration::from_hours(hours)), samples: None }
}

async fn blocks(database: &Database) -> usize {
    database.command(&["HLEN", keys::HOURS]).await
}

/// Returns all samples with their provenance.
async fn everything(database: &Database) -> Vec<Observation> {
    let hours = [0, 1, 2]
        .map(async |hour| database.store().hour(BASE + hour * HOUR).await.unwrap().observations);
    futures_util::future::join_all(hours).await.concat()
}

#[tokio::test]
async fn an_hour_is_sealed_when_it_has_ended_and_loses_its_text_form_later() {
    let database = three_hours().await;
    let (before, observations) = (NaiveModel::read(&database).await, everything(&database).await);
    let history = database.history().await;
    let now = BASE + 2 * HOUR + 60;
    let done = history.maintain(now, text_for(48)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 2, dropped: 0, deleted: 0 });
    assert_eq!((blocks(&database).await, database.prices().await.len()), (2, 16));
    let provenance: Vec<String> = database.command(&["KEYS", "{prices}:provenance:*"]).await;
    assert_eq!(provenance.len(), 1, "only the open hour has this key: {provenance:?}");
    assert_eq!(everything(&database).await, observations);

    let again = history.maintain(now, text_for(48)).await.unwrap();
    assert_eq!(again, Maintained::default());
    let done = history.maintain(LATER, text_for(99)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 1, dropped: 1, deleted: 0 });
    assert_eq!(database.prices().await.len(), 11);
    let done = history.maintain(LATER, text_for(24)).await.unwrap();
    assert_eq!(done, Maintained { sealed: 0, dropped: 2, deleted: 0 });
    assert_eq!((blocks(&database).await, database.prices().await.len()), (3, 0));
    assert_eq!(NaiveModel::read(&database).await, before);
    let api = Api::start(&database).await;
    let latest = api.get("/api/latest/").await.ok();
    assert_eq!((&latest["source"], &latest["bid"]), (&"buenbit".into(), &0.25.into()));
    let list = api.get("/api/ticker-list/?page_size=100").await.ok();
    let sources = list["results"].as_array().unwrap().iter();
    assert_eq!(sources.filter(|row| row["source"] == "buenbit").count(), 15);
}

#[tokio::test]
async fn an_hour_that_changed_since_it_was_read_is_not_replaced() {
    let database = three_hours().await;
    let store = database.store();
    let schedule = Schedule::new(Slots::new(Duration::from_secs(10)).unwrap());
    let stored = store.hour(BASE).await.unwrap();
    database.record(&[(BASE + 1000, "9.5")]).await;
    assert!(!store.seal(&stored, &schedule).await.unwrap());
    let stored = store.hour(BASE).await.unwrap();
    assert!(store.seal(&stored, &schedule).await.unwrap());
    // The hour has been sealed since it was read, so it is neither sealed again nor dropped.
    assert!(!store.seal(&stored, &schedule).await.unwrap());
    assert!(!store.drop_text(&stored).await.unwrap());
    let sealed = store.hour(BASE).await.unwrap();
    assert_eq!(sealed.block_state, BlockState::Current);
    database.record(&[(BASE + 1010, "9.5")]).await;
    assert!(!store.drop_text(&sealed).await.unwrap());
    let outdated = store.hour(BASE).await.unwrap();
    assert_eq!(outdated.block_state, BlockState::Outdated);
    assert!(!store.drop_text(&outdated).await.unwrap(), "the block lacks a sample");
    assert_eq!(outdated.observations.len(), 7);
}

#[tokio::test]
async fn a_manually_edited_hour_is_sealed_again() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    database.command::<()>(&["ZREM", "prices", &format!("1.5:{BASE}")]).await;
    database.put_prices(&[(&(BASE + 7000).to_string(), "3.5")]).await;
    let done = history.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(done.sealed, 2);
    let stored = database.store().hour(BASE).await.unwrap();
    assert_eq!((stored.block_state, stored.observations.len()), (BlockState::Current, 4));
    // If all samples of an hour are deleted, its block is deleted too.
    for member in database.prices().await.iter().take(4) {
        database.command::<()>(&["ZREM", "prices", member]).await;
    }
    history.maintain(LATER, Retention::default()).await.unwrap();
    assert_eq!(blocks(&database).await, 2);
}

#[tokio::test]
async fn late_samples_of_a_sealed_hour_are_added_to_its_block() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, text_for(24)).await.unwrap();
    database
        .put_prices(&[(&(BASE + 3).to_string(), "8.5"), (&(BASE + 9000).to_string(), "9.5")])
        .await;
    let with_late = NaiveModel::read(&database).await;
    assert_eq!(with_late.0.len(), 18);
    history.refresh().await.unwrap();
    let count =
        async |history: &History| history.total(&TimeRange::default()).await.unwrap().value.count;
    assert_eq!(count(&history).await, 18);
    assert_eq!(count(&database.history().await).await, 18);
    history.maintain(LATER, text_for(24)).await.unwrap();
    assert_eq!(database.prices().await.len(), 0);
    assert_eq!(NaiveModel::read(&database).await, with_late);
    history.refresh().await.unwrap();
    assert_eq!(count(&history).await, 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_maintenance_loses_and_duplicates_no_sample() {
    let database = Database::new().await;
    let rows: Vec<(String, String)> = (0..600)
        .map(|n| ((BASE + n * 600).to_string(), format!("{}.5:{}", n + 1, BASE + n * 600)))
        .collect();
    let rows: Vec<(&str, &str)> =
        rows.iter().map(|(at, member)| (at.as_str(), member.as_str())).collect();
    database.put_prices(&rows).await;
    let before = NaiveModel::read(&database).await;
    let end = BASE + 600 * 600 + 48 * HOUR;
    for micros in (0..40).map(|n| 300 * n) {
        let history = History::new(database.store(), UNLIMITED);
        let work = tokio::spawn(async move { history.maintain(end, text_for(24)).await });
        tokio::time::sleep(Duration::from_micros(micros)).await;
        work.abort();
        assert_eq!(NaiveModel::read(&database).await, before);
    }
    database.history().await.maintain(end, text_for(24)).await.unwrap();
    assert_eq!((database.prices().await.len(), blocks(&database).await), (0, 100));
    assert_eq!(NaiveModel::read(&database).await, before);
}

#[tokio::test]
async fn unseal_restores_the_text_form_of_all_hours() {
    let database = three_hours().await;
    let (before, text) = (NaiveModel::read(&database).await, database.prices().await);
    database.history().await.maintain(LATER, text_for(98)).await.unwrap();
    assert_eq!(database.prices().await.len(), 5);
    let environment = [("REDIS_URL", database.url.as_str())];
    let unsealed = run(&["prices", "unseal"], &environment).await;
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
    let again = run(&["prices", "unseal"], &environment).await;
    assert_eq!(again.stdout, "restored the text form of 0 hours\n");
}

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

#[tokio::test]
async fn a_damaged_block_is_rebuilt_from_the_text_form() {
    let database = three_hours().await;
    database.history().await.maintain(LATER, Retention::default()).await.unwrap();
    let before = NaiveModel::read(&database).await;
    damage(&database, BASE).await;
    let environment = [("REDIS_URL", database.url.as_str())];
    let checked = run(&["prices", "check"], &environment).await;
    assert_eq!(checked.code, 1);
    let expected = format!(
        "hour {BASE}: its checksum is wrong; `cotiza prices rebuild` rebuilds it from its text form\n\
         checked 3 hours\n"
    );
    assert_eq!(checked.stdout, expected);
    let history = database.history().await;
    let count = history.total(&TimeRange::default()).await.unwrap().value.count;
    assert_eq!(count, before.0.len() as u64);
    let rebuilt = run(&["prices", "rebuild"], &environment).await;
    assert_eq!((rebuilt.code, rebuilt.stdout.as_str()), (0, "rebuilt 1 blocks\n"));
    assert_eq!(run(&["prices", "check"], &environment).await.code, 0);
    // Housekeeping also detects and rebuilds it.
    damage(&database, BASE).await;
    assert_eq!(
        database.history().await.maintain(LATER, Retention::default()).await.unwrap().sealed,
        1
    );
}

#[tokio::test]
async fn a_damaged_block_without_text_form_fails_only_the_requests_that_need_it() {
    let database = three_hours().await;
    database.history().await.maintain(LATER, text_for(24)).await.unwrap();
    damage(&database, BASE + HOUR).await;
    let api = Api::start(&database).await;
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
    let checked = run(&["prices", "check"], &[("REDIS_URL", &database.url)]).await;
    assert_eq!(checked.code, 1);
    assert!(
        checked.stdout.contains(": its checksum is wrong; its samples are lost"),
        "{}",
        checked.stdout
    );
    let rebuilt = run(&["prices", "rebuild"], &[("REDIS_URL", &database.url)]).await;
    assert_eq!(rebuilt.stdout, "rebuilt 0 blocks\n");
    // Housekeeping keeps the damaged block.
    let history = database.history().await;
    history.maintain(LATER, text_for(24)).await.unwrap();
    let block: Option<Vec<u8>> =
        database.command(&["HGET", keys::HOURS, &(BASE + HOUR).to_string()]).await;
    assert!(block.is_some());
    drop(history);
}

#[tokio::test]
async fn check_detects_a_block_that_differs_from_the_text_form() {
    let database = three_hours().await;
    let history = database.history().await;
    history.maintain(LATER, Retention::default()).await.unwrap();
    // The number of samples is the same, so only a comparison of all samples detects it.
    database.command::<()>(&["ZREM", "prices", &format!("1.5:{BASE}")]).await;
    database.put_prices(&[(&BASE.to_string(), &format!("99.5:{BASE}"))]).await;
    let environment = [("REDIS_URL", database.url.as_str())];
    let checked = run(&["prices", "check"], &environment).await;
    assert!(checked.stdout.contains("its samples differ from the text"), "{}", checked.stdout);
    assert_eq!(run(&["prices", "rebuild"], &environment).await.code, 0);
    let price = tokio::time::timeout(SOON, async {
        history.refresh().await.unwrap();
        history.price_at(BASE).await.unwrap().value
    });
    assert_eq!(price.await.unwrap(), Some(995_000));
}
