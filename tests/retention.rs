//! Retention: hours older than `prices.keep` are deleted together with the reasons of their missed slots.

use std::{sync::Arc, time::Duration};

use cotiza::{
    clock::Clock,
    domain::{MissedReason, Order, Slots, TimeRange},
    history::{History, Retention},
    jobs::{Context, Housekeeping},
    queue::Job,
};

use crate::harness::{Api, Database, FakeExchange, SOON, UNLIMITED};

const DAY: i64 = 86_400;

fn keep(days: u64) -> Retention {
    Retention { text: None, samples: Some(Duration::from_hours(24 * days)) }
}

#[tokio::test]
async fn housekeeping_deletes_whole_hours_of_text_and_of_blocks() {
    let database = Database::new().await;
    let now = Clock::machine().unix_seconds();
    let start = (now - 3 * DAY).div_euclid(3600) * 3600;
    let members: Vec<(String, String)> = (0..2000)
        .map(|n| ((start + n * 120).to_string(), format!("{}.0:{}", n + 1, start + n * 120)))
        .collect();
    let rows: Vec<_> = members.iter().map(|(at, member)| (at.as_str(), member.as_str())).collect();
    database.put_prices(&rows).await;
    database.store().record_missed(&[start - 40, now - 3600], MissedReason::TooLate).await.unwrap();
    // Two thirds of the hours are stored only as blocks.
    let text = Retention { text: Some(Duration::from_hours(24)), samples: None };
    database.history().await.maintain(now, text).await.unwrap();
    let exchange = FakeExchange::start().await;
    let slots = Slots::new(Duration::from_secs(10)).unwrap();
    let sources = exchange.sources(SOON, slots.length());
    let context = Context {
        retention: keep(2),
        history: Arc::new(History::new(database.store(), UNLIMITED)),
        ..database.context(slots, sources, FakeExchange::permissive_filter())
    };
    for _twice in 0..2 {
        Housekeeping { due: now }.run(context.clone(), 1).await.unwrap();
    }
    let api = Api::start(&database).await;
    let first = api.get("/api/ticker-list/?page_size=1").await.ok();
    let oldest = first["results"][0]["timestamp"].as_i64().unwrap();
    let cut = (now - 2 * DAY).div_euclid(3600) * 3600;
    assert!((cut..cut + 120).contains(&oldest), "the oldest sample, {oldest}, is not at {cut}");
    assert_eq!(first["count"], 2000 - (oldest - start) / 120);
    let missed: Vec<String> =
        database.command(&["ZRANGE", "{prices}:missed:too_late", "0", "-1"]).await;
    assert_eq!(missed, [(now - 3600).to_string()]);
}

#[tokio::test]
async fn the_newest_sample_is_kept_and_the_gap_after_it_is_reported() {
    let database = Database::new().await;
    let base = 19_000 * DAY;
    database.record(&[(base, "5.5"), (base + 10, "5.5"), (base + DAY, "5.5")]).await;
    let history = database.history().await;
    // No sample was recorded within the retention.
    let done = history.maintain(base + 8 * DAY, keep(2)).await.unwrap();
    assert_eq!(done.deleted, 1);
    history.refresh().await.unwrap();
    let latest = history.latest().await.unwrap().value.unwrap();
    assert_eq!(latest.sample.timestamp.second(), base + DAY);
    database.record(&[(base + 8 * DAY, "5.5")]).await;
    history.refresh().await.unwrap();
    let gaps = history
        .gaps(
            &TimeRange::default(),
            base + 9 * DAY,
            "1".parse().unwrap(),
            "10".parse().unwrap(),
            Order::Ascending,
        )
        .await
        .unwrap();
    let gaps = gaps.value.unwrap().items;
    let stretches: Vec<_> = gaps.iter().map(|gap| (gap.from - base, gap.until - base)).collect();
    assert_eq!(stretches, [(DAY + 10, 8 * DAY), (8 * DAY + 10, 9 * DAY)]);
}
