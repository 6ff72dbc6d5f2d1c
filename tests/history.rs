//! Every answer of a history against a naive model, with any hours sealed and any limit of memory.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cotiza::{
    domain::{Order, PageNumber, PageSize, Point, Slots, TimeRange},
    history::{History, Limits, Retention},
    store::Row,
};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::harness::{
    Database, NaiveModel, SOON, all_time, between, observations, page, samples, slots_of,
    text_kept_for, unique_members,
};

const BASE: i64 = 1_699_999_200; // the start of an hour
const FOREVER: Duration = Duration::MAX;

/// Generates a sample within two hours, two days or half a year: its time with quarters of seconds, and its
/// price.
fn sample() -> impl Strategy<Value = (f64, i64)> {
    let second = prop_oneof![0i64..8000, 0i64..180_000, 0i64..15_000_000];
    let price = prop_oneof![1i64..9_000_000_000_000_000, 800_000_000_000i64..800_100_000_000];
    let quarter = prop_oneof![4 => Just(0i32), 1 => 0i32..4];
    (second, quarter, price).prop_map(|(second, quarter, price)| {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let score = (BASE + second) as f64 + f64::from(quarter) / 4.0;
        (score, price)
    })
}

#[test]
fn every_answer_matches_a_naive_model() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let slots = slots_of(10);
    let samples = prop::collection::vec(sample(), 0..120);
    let memory = prop_oneof![Just(0usize), 0usize..3000, Just(usize::MAX)];
    let queries = prop::collection::vec((sample(), sample(), 1u64..9, 1u64..30), 1..12);
    let strategy = (samples, memory, queries, 0i64..15_000_000);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80) };
    let checked = TestRunner::new(config).run(&strategy, |(samples, memory, queries, dropped)| {
        runtime.block_on(async {
            database.command::<()>(&["FLUSHDB"]).await;
            database.put_prices(&unique_members(&samples)).await;
            let history = History::new(database.store(), Limits { memory, stale_for: FOREVER });
            let text = Some(Duration::from_secs((20_000_000 - dropped).unsigned_abs()));
            let retention = Retention { text, samples: None };
            history.maintain(BASE + 20_000_000, retention).await.unwrap();
            history.refresh().await.unwrap();
            let naive = NaiveModel::read(&database).await;
            assert_eq!(naive.0.len(), samples.len());
            for ((one, _), (other, _), page, size) in queries {
                check(&history, &naive, one.min(other), one.max(other), (page, size), slots).await;
            }
            let whole = naive.summary(slots);
            assert_eq!(history.summary(&all_time()).await.unwrap().value, whole);
            let latest = history.latest().await.unwrap().value;
            let latest = latest.map(|it| (it.sample.timestamp, it.sample.price.ten_thousandths()));
            assert_eq!(latest, naive.0.last().copied());
        });
        Ok(())
    });
    checked.unwrap();
}

async fn check(
    history: &History,
    naive: &NaiveModel,
    since: f64,
    until: f64,
    (number, size): (u64, u64),
    slots: Slots,
) {
    let range = between(since, until);
    let inside = naive.within(since, until);
    let expected = inside.summary(slots);
    assert_eq!(history.summary(&range).await.unwrap().value, expected, "{range:?}");
    assert_eq!(history.total(&range).await.unwrap().value, expected.total(), "{range:?}");
    let (number, page_size) = page(number, size);
    for order in [Order::Ascending, Order::Descending] {
        let page = history.page(&range, number, page_size, order).await.unwrap().value;
        let mut all = inside.0.clone();
        order.sort(&mut all);
        assert_eq!(every_batch(history, &range, order).await, all, "{order:?} {range:?}");
        let rows = page.map(|page| points(&page.items));
        let expected = chunk(&all, number, size);
        assert_eq!(rows, expected, "page {number:?} of {size} in {range:?}, {order:?}");
    }
    statistics(history, naive, &inside, (since, until)).await;
    for at in [since, until] {
        #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
        let second = at.floor() as i64;
        let of_second = naive.0.iter().rfind(|(timestamp, _)| timestamp.second() == second);
        let price = history.price_at(second).await.unwrap().value;
        assert_eq!(price, of_second.map(|(_, price)| *price), "at {second}");
    }
}

fn points(rows: &[Row]) -> Vec<Point> {
    rows.iter().map(|row| (row.timestamp, row.price)).collect()
}

/// Returns a page of a list; page 1 of an empty list is empty.
fn chunk(all: &[Point], number: PageNumber, size: u64) -> Option<Vec<Point>> {
    let PageNumber::Number(number) = number else { return None };
    let mut chunks = all.chunks(usize::try_from(size).unwrap());
    let chunk = chunks.nth(usize::try_from(number - 1).unwrap());
    chunk.or((number == 1).then_some(&[])).map(<[_]>::to_vec)
}

async fn every_batch(history: &History, range: &TimeRange, order: Order) -> Vec<Point> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let batch = history.batch(range, order, next).await.unwrap().value;
        all.extend(points(&batch.rows));
        next = batch.next;
        if next.is_none() {
            return all;
        }
    }
}

/// Checks means weighted by time, extremes with their times, and the last sample until a time.
async fn statistics(
    history: &History,
    naive: &NaiveModel,
    inside: &NaiveModel,
    (since, until): (f64, f64),
) {
    let queried = between(since, until);
    let now = BASE + 20_000_000;
    for hold in [1, 60, 5000, 1_000_000] {
        let weighted = history.weighted(&queried, hold * 1_000_000, now).await.unwrap().value;
        let (sum, covered) = naive.held(since, until, hold);
        let held = (weighted.prices.sum, weighted.prices.covered);
        assert_eq!(held, (sum, covered), "{queried:?}, held for {hold} s");
        assert_eq!(weighted.count, inside.0.len() as u64);
    }
    let all = history.statistics(&queried, 60_000_000, now).await.unwrap().value;
    let lowest = inside.0.iter().min_by_key(|(_, price)| *price).copied();
    // The first of equal prices.
    let highest = inside.0.iter().rev().max_by_key(|(_, price)| *price).copied();
    assert_eq!((all.lowest, all.highest), (lowest, highest), "{queried:?}");
    let last = naive.0.iter().rfind(|(at, _)| at.score() <= until);
    let found = history.last_until(until.to_string().parse().unwrap()).await.unwrap().value;
    let found = found.map(|it| (it.sample.timestamp, it.sample.price.ten_thousandths()));
    assert_eq!(found, last.copied(), "at {until}");
}

#[tokio::test]
async fn a_range_until_the_end_of_a_day_excludes_the_next_day() {
    let database = Database::new().await;
    let midnight = 1_700_006_400;
    database.record(&[(midnight - 5, "1.5"), (midnight, "1.5")]).await;
    let history = database.history().await;
    let (first, size) = (PageNumber::default(), PageSize::default());
    for (since, until, expected) in [
        ("2023-11-14T00:00:00Z", "2023-11-14T23:59:59.999999999Z", 1),
        ("2023-11-14T23:59:55.0000001Z", "2023-11-15T00:00:00Z", 1),
        ("2023-11-14T23:59:55Z", "2023-11-15T00:00:00.000000001Z", 2),
    ] {
        let range = between(since, until);
        let total = history.total(&range).await.unwrap().value;
        let page =
            history.page(&range, first, size, Order::Ascending).await.unwrap().value.unwrap();
        assert_eq!((total.count, page.count), (expected, expected), "{range:?}");
    }
}

/// Returns a database with members that are not samples, or whose time is out of range.
async fn foreign_members() -> Database {
    let database = Database::new().await;
    let rows = [("-inf", "1.5"), ("-99999999999999", "2.5"), ("1e300", "6.5"), ("+inf", "7.5")];
    database.put_prices(&rows).await;
    database.put_prices(&[("1700000000", "rubbish"), ("1700000001", "-5:1700000001")]).await;
    database
}

#[tokio::test]
async fn members_that_are_not_samples_are_ignored() {
    let database = foreign_members().await;
    let history = database.history().await;
    assert_eq!(history.latest().await.unwrap().value, None);
    database.put_prices(&[("1699999000", "7.5:1699999000")]).await;
    history.refresh().await.unwrap();
    let latest = history.latest().await.unwrap().value.unwrap();
    assert_eq!(latest.sample.member(), "7.5:1699999000");
}

#[tokio::test]
async fn sealing_and_dropping_text_keeps_members_that_are_not_samples() {
    let database = foreign_members().await;
    database.put_prices(&[("1699999000", "7.5:1699999000")]).await;
    let history = database.history().await;
    history.maintain(1_800_000_000, text_kept_for(24)).await.unwrap();
    assert_eq!(database.prices().await.len(), 6);
    history.refresh().await.unwrap();
    assert_eq!(history.summary(&all_time()).await.unwrap().value.count, 1);
}

/// Records 1500 samples in every second slot and counts them.
async fn record_half(database: &Database, first: i64, recorded: &AtomicU64) {
    let half = samples(1_700_000_000 + first).every(20).count(1500).price("2.5");
    for observation in observations(&half) {
        database.record_one(&observation).await;
        recorded.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn answers_are_correct_while_samples_are_recorded() {
    let database = Database::new().await;
    let history = database.history().await;
    let recorded = AtomicU64::new(0);
    let part = between(1_700_007_000, 1_700_020_000);
    let read = async {
        let mut seen = 0;
        while seen < 3000 {
            let before = recorded.load(Ordering::SeqCst);
            history.refresh().await.unwrap();
            let total = history.total(&all_time()).await.unwrap().value;
            assert!(total.count >= before.max(seen), "{total:?}, {before} recorded, {seen} seen");
            seen = total.count;
            let part = history.total(&part).await.unwrap().value;
            assert!(part.count <= 1301, "{part:?}");
            for total in [total, part] {
                assert_eq!(total.sum, i128::from(total.count) * 25_000);
            }
        }
    };
    let write = |first: i64| record_half(&database, first, &recorded);
    let all = async { tokio::join!(write(0), write(10), read) };
    tokio::time::timeout(2 * SOON, all).await.expect("all samples are counted");
}
