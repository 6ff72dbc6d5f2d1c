//! Retention: samples that are trimmed, and what is left of them.

use std::time::Duration;

use cotiza::{
    clock,
    config::Config,
    domain::{Observation, PageNumber, PageSize, Sample, Slots, TimeRange},
    jobs::{Context, Housekeeping},
    queue::Job,
};

use crate::harness::{Api, Database, FakeExchange, SOON};

#[tokio::test]
async fn trimmed_samples_are_answered_for_by_their_rollups() {
    let database = Database::new().await;
    let store = database.store();
    let slots = Slots::new(Duration::from_secs(10)).unwrap();
    let day = 86_400;
    let now = clock::unix_seconds();
    let start = (now - 3 * day).div_euclid(600) * 600;
    let samples: Vec<_> = (0..2000)
        .map(|n| Sample {
            timestamp: start + n * 120,
            price: format!("{}.0", n + 1).parse().unwrap(),
        })
        .map(Observation::from)
        .collect();
    store.record_all(&samples).await.unwrap();
    // A sample that the rollups have not: it must be in them before it goes.
    database.put_prices(&[(&(start + 5).to_string(), "0.5")]).await;
    let exchange = FakeExchange::start().await;
    let context = Context {
        slots,
        sources: exchange.sources(SOON, Duration::from_secs(10)),
        doubt: FakeExchange::no_doubt(),
        store: store.clone(),
        keep_prices: Some(Duration::from_secs(day.unsigned_abs())),
        caretaker: database.caretaker(),
    };
    let before = store.aggregate(&TimeRange::default()).await.unwrap();
    assert_eq!((before.summary.count, before.resolution), (2001, None));
    for _twice in 0..2 {
        Housekeeping { due: now }.run(context.clone(), 1).await.unwrap();
    }

    let left = database.prices().await.len();
    assert!((500..=700).contains(&left), "{left} samples left");
    let after = store.aggregate(&TimeRange::default()).await.unwrap();
    assert_eq!(after.summary, before.summary);
    assert_eq!(after.resolution, Some(Duration::from_mins(10)));

    let api = Api::start(&database).await;
    let average = |since: i64, until: i64| {
        let path = format!("/api/average-price/?since={since}&until={until}");
        let api = &api;
        async move { api.get(&path).await.ok() }
    };
    // Samples 1 to 5 and the one of half a peso lie in the first bucket.
    let coarse = average(start + 100, start + 200).await;
    assert_eq!(coarse, serde_json::json!({"average_price": 2.58, "count": 6, "resolution": 600}));
    let recent = average(now - 3600, now).await;
    assert!(recent.get("resolution").is_none(), "{recent}");

    // Coverage is as coarse, and never more than everything.
    let coverage =
        api.get(&format!("/api/coverage/?since={}&until={}", start + 100, start + 130)).await.ok();
    assert_eq!(
        (&coverage["expected"], &coverage["recorded"]),
        (&60.into(), &5.into()),
        "{coverage}"
    );

    // A longer time to keep them does not bring them back, nor does it spoil what is known of them.
    let longer = Context { keep_prices: Some(Duration::from_hours(48)), ..context };
    database.put_prices(&[(&(start + 7).to_string(), "7.5")]).await;
    Housekeeping { due: now }.run(longer, 1).await.unwrap();
    assert_eq!(average(start + 100, start + 200).await, coarse);

    // What was trimmed does not come back by an import.
    assert_eq!(store.record_all(&samples[..10]).await.unwrap(), 0);
    assert_eq!(store.aggregate(&TimeRange::default()).await.unwrap().summary, before.summary);
    assert!(Config::default().prices.keep.is_none());
}

#[tokio::test]
async fn trimming_ends_whatever_scores_there_are() {
    let database = Database::new().await;
    let store = database.store();
    let rows =
        [("-inf", "1.5"), ("-99999999999999", "2.5"), ("-62135596800", "3.5"), ("600", "4.5")];
    database.put_prices(&rows).await;
    database.put_prices(&[("1700000000", "5.5"), ("1e300", "6.5")]).await;
    for infinite in ["-inf", "+inf"] {
        database.put_prices(&[(infinite, "7.5")]).await;
        store.rebuild(0, 2_000_000_000, |_| ()).await.unwrap();
        for second in [1_699_000_000, 1_699_500_000, 1_701_000_000] {
            let sample = Sample { timestamp: second, price: "5.5".parse().unwrap() };
            store.record(&sample.into()).await.unwrap();
        }
    }
    for member in ["7.5", "5.5:1699000000", "5.5:1699500000", "5.5:1701000000"] {
        database.command::<()>(&["ZREM", "prices", member]).await;
    }
    store.rebuild(0, 2_000_000_000, |_| ()).await.unwrap();
    let trimmed = tokio::time::timeout(SOON, store.trim(1_000_000)).await.unwrap().unwrap();
    assert_eq!((trimmed, database.prices().await.len()), (4, 2));
    let kept = store.aggregate(&TimeRange::default()).await.unwrap();
    // Those before all calendars are in no bucket.
    assert_eq!((kept.summary.count, kept.resolution), (4, Some(Duration::from_mins(10))));
}

#[tokio::test]
async fn the_newest_sample_stays_and_gaps_that_begin_before_it_are_told() {
    let database = Database::new().await;
    let store = database.store();
    let day = 86_400;
    let base = 19_000 * day;
    let record = async |second| {
        let sample = Sample { timestamp: second, price: "5.5".parse().unwrap() };
        store.record(&sample.into()).await.unwrap();
    };
    let gaps = async || {
        let (first, size) = (PageNumber::default(), PageSize::default());
        let page = store.gaps(&TimeRange::default(), base + 9 * day, first, size).await;
        let gap = |gap: &cotiza::domain::Gap| (gap.from - base, gap.until - base);
        page.unwrap().unwrap().items.iter().map(gap).collect::<Vec<_>>()
    };
    for second in [base, base + 10, base + day] {
        record(second).await;
    }
    // Nothing is recorded for longer than anything is kept.
    assert_eq!(store.trim(base + 8 * day).await.unwrap(), 2);
    let latest = store.latest().await.unwrap().unwrap();
    assert_eq!(latest.sample.timestamp, base + day);
    record(base + 8 * day).await;
    let end = (8 * day + 10, 9 * day);
    assert_eq!(gaps().await, [(20, day), (day + 10, 8 * day), end]);

    // Late samples, right behind the mark.
    assert_eq!(store.trim(base + 7 * day).await.unwrap(), 1);
    record(base + 7 * day + 100).await;
    record(base + 7 * day + 50).await;
    let [late, later] = [7 * day + 50, 7 * day + 100];
    let split = [(20, day), (day + 10, late), (late + 10, later), (later + 10, 8 * day), end];
    assert_eq!(gaps().await, split);
}
