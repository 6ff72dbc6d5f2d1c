//! Retention: hours older than `prices.keep` are deleted together with the reasons of their missed slots.

use std::{sync::Arc, time::Duration};

use cotiza::{
    clock::Clock,
    domain::{MissedReason, Order},
    history::{History, Retention},
    jobs::{Context, Housekeeping},
    queue::Job,
    store::{hour_of, keys},
};

use crate::harness::{
    Api, Database, FakeExchange, SOON, UNLIMITED, all_time, members, page, samples, slots_of,
    text_kept_for,
};

const DAY: i64 = 86_400;

fn keep(days: u64) -> Retention {
    Retention { text: None, samples: Some(Duration::from_hours(24 * days)) }
}

/// Runs housekeeping twice at the unix second `now`; it deletes what is older than two days.
async fn housekeeping(database: &Database, now: i64) {
    let exchange = FakeExchange::start().await;
    let slots = slots_of(10);
    let sources = exchange.sources(SOON, slots.length());
    let context = Context {
        retention: keep(2),
        history: Arc::new(History::new(database.store(), UNLIMITED)),
        ..database.context(slots, sources, FakeExchange::permissive_filter())
    };
    for _twice in 0..2 {
        Housekeeping { due: now }.run(context.clone(), 1).await.unwrap();
    }
}

#[tokio::test]
async fn housekeeping_deletes_whole_hours_of_text_and_of_blocks() {
    let database = Database::new().await;
    let now = Clock::machine().unix_seconds();
    let start = hour_of(now - 3 * DAY);
    let stored = samples(start).every(120).count(2000).prices(|n| format!("{}.0", n + 1));
    database.put_prices(&members(&stored)).await;
    // Two thirds of the hours are stored only as blocks.
    database.history().await.maintain(now, text_kept_for(24)).await.unwrap();
    housekeeping(&database, now).await;
    let first = Api::start(&database).await.get("/api/ticker-list/?page_size=1").await.ok();
    let oldest = first["results"][0]["timestamp"].as_i64().unwrap();
    let cut = hour_of(now - 2 * DAY);
    assert!((cut..cut + 120).contains(&oldest), "the oldest sample, {oldest}, is not at {cut}");
    assert_eq!(first["count"], 2000 - (oldest - start) / 120);
}

#[tokio::test]
async fn housekeeping_deletes_the_reasons_of_deleted_hours_only() {
    let database = Database::new().await;
    let now = Clock::machine().unix_seconds();
    let start = hour_of(now - 3 * DAY);
    database.record(&[(start, "1.5"), (now - 10, "1.5")]).await;
    database.store().record_missed(&[start - 40, now - 3600], MissedReason::TooLate).await.unwrap();
    housekeeping(&database, now).await;
    let key = keys::missed(MissedReason::TooLate);
    let missed: Vec<String> = database.command(&["ZRANGE", &key, "0", "-1"]).await;
    assert_eq!(missed, [(now - 3600).to_string()]);
}

/// Returns a database whose newest sample, a day after `base`, is older than the retention, after
/// maintenance has deleted all older hours.
async fn outdated(base: i64) -> (Database, History) {
    let database = Database::new().await;
    database.record(&[(base, "5.5"), (base + 10, "5.5"), (base + DAY, "5.5")]).await;
    let history = database.history().await;
    let done = history.maintain(base + 8 * DAY, keep(2)).await.unwrap();
    assert_eq!(done.deleted, 1);
    history.refresh().await.unwrap();
    (database, history)
}

#[tokio::test]
async fn the_newest_sample_is_kept_even_if_it_is_older_than_the_retention() {
    let base = 19_000 * DAY;
    let (_database, history) = outdated(base).await;
    let latest = history.latest().await.unwrap().value.unwrap();
    assert_eq!(latest.sample.timestamp.second(), base + DAY);
}

#[tokio::test]
async fn the_gap_after_the_newest_kept_sample_is_reported() {
    let base = 19_000 * DAY;
    let (database, history) = outdated(base).await;
    database.record(&[(base + 8 * DAY, "5.5")]).await;
    history.refresh().await.unwrap();
    let (number, size) = page(1, 10);
    let gaps = history.gaps(&all_time(), base + 9 * DAY, number, size, Order::Ascending).await;
    let gaps = gaps.unwrap().value.unwrap().items;
    let found: Vec<_> = gaps.iter().map(|gap| (gap.from - base, gap.until - base)).collect();
    assert_eq!(found, [(DAY + 10, 8 * DAY), (8 * DAY + 10, 9 * DAY)]);
}
