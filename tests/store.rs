//! Samples are recorded once a slot and read back, alone and by the page.

use cotiza::{
    domain::{Observation, PageNumber, PageSize, Provenance, Sample, TimeRange},
    store::{Recorded, Store},
};

use crate::harness::Database;

#[tokio::test]
async fn a_slot_has_one_sample_whoever_records_first() {
    let database = Database::new().await;
    let stores: Vec<Store> = (0..8).map(|_| database.store()).collect();
    let sample = |n: i64| Sample {
        timestamp: 1_700_000_001 + n,
        price: format!("{}.5", n + 1).parse().unwrap(),
    };
    let recorded = futures_util::future::join_all(
        stores
            .iter()
            .zip(0..)
            .map(|(store, n)| async move { store.record(&sample(n).into()).await.unwrap() }),
    )
    .await;
    let stored = recorded.iter().filter(|&&outcome| outcome == Recorded::Stored).count();
    assert_eq!((stored, database.prices().await.len()), (1, 1));
    assert_eq!(stores[0].aggregate(&TimeRange::default()).await.unwrap().summary.count, 1);
}

#[tokio::test]
async fn the_end_of_a_day_takes_in_nothing_of_the_next_one() {
    let database = Database::new().await;
    let store = database.store();
    let midnight = 1_700_006_400;
    let sample = |timestamp| Sample { timestamp, price: "1.5".parse().unwrap() };
    let recorded = [sample(midnight - 5).into(), sample(midnight).into()];
    store.record_all(&recorded).await.unwrap();
    let (first, size) = (PageNumber::default(), PageSize::default());
    for (since, until, expected) in [
        ("2023-11-14T00:00:00Z", "2023-11-14T23:59:59.999999999Z", 1),
        ("2023-11-14T23:59:55.0000001Z", "2023-11-15T00:00:00Z", 1),
        ("2023-11-14T23:59:55Z", "2023-11-15T00:00:00.000000001Z", 2),
    ] {
        let [since, until] = [since, until].map(|time| Some(time.parse().unwrap()));
        let range = TimeRange::new(since, until).unwrap();
        let total = store.total(&range).await.unwrap().summary;
        let page = store.page(&range, first, size).await.unwrap().unwrap();
        assert_eq!((total.count, page.count), (expected, expected), "{range:?}");
    }
}

#[tokio::test]
async fn the_latest_sample_is_found_behind_what_is_none() {
    let database = Database::new().await;
    let store = database.store();
    assert_eq!(store.latest().await.unwrap(), None);
    database.put_prices(&[("1700000000", "rubbish"), ("1700000001", "-5:1700000001")]).await;
    assert_eq!(store.latest().await.unwrap(), None);
    database.put_prices(&[("1699999000", "7.5:1699999000")]).await;
    let expected = Sample { timestamp: 1_699_999_000, price: "7.5".parse().unwrap() };
    assert_eq!(store.latest().await.unwrap(), Some(expected.into()));
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_shows_what_is_stored_now() {
    let database = Database::new().await;
    let store = database.store();
    let observation = |price: &str, source: &str| Observation {
        sample: Sample { timestamp: 1_700_000_000, price: price.parse().unwrap() },
        provenance: Some(Provenance { source: source.into(), ask: None, bid: None }),
    };
    let shown = async || {
        let (first, size) = (PageNumber::default(), PageSize::default());
        let page = store.page(&TimeRange::default(), first, size).await.unwrap().unwrap();
        page.items
    };
    let one = observation("2.5", "one");
    store.record(&one).await.unwrap();
    let expected = [one];
    assert_eq!(shown().await, expected);
    assert_eq!(shown().await, expected);

    database.command::<()>(&["DEL", "prices"]).await;
    let other = observation("3.5", "other");
    store.record(&other).await.unwrap();
    assert_eq!(shown().await, [other]);
}
