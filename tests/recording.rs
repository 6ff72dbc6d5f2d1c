//! Recording: a slot has at most one sample, and every API serves it at once.

use cotiza::{clock::Clock, store::Recorded};

use crate::harness::{
    Api, Database, SOON, eventually, observation, quoted, slots_of, text_kept_for,
};

#[tokio::test]
async fn concurrent_records_of_one_slot_store_one_sample() {
    let database = Database::new().await;
    let hours = slots_of(3600);
    let now = hours.containing(Clock::machine().unix_seconds()).start();
    let recorded = futures_util::future::join_all((1..9).map(async |n| {
        let observation = observation(now + n, &format!("{n}.5"));
        let store = database.store_of(hours.length());
        store.record(&observation).await.unwrap()
    }))
    .await;
    let stored = recorded.iter().filter(|&&outcome| outcome == Recorded::Stored).count();
    assert_eq!((stored, database.prices().await.len()), (1, 1));
    assert_eq!(database.count().await, 1);
}

#[tokio::test]
async fn a_recorded_sample_is_served_by_every_api_without_a_reload() {
    let database = Database::new().await;
    let apis = [Api::start(&database).await, Api::start(&database).await];
    let bid = Some("82781100.0");
    database.record_one(&quoted(1_717_184_864, "84436700.0", bid)).await;
    for api in &apis {
        eventually(SOON, "the sample is served", || async {
            api.get("/api/ticker-price/?timestamp=1717184864").await.text
                == r#"{"price":84436700.0}"#
        })
        .await;
        let latest = api.get("/api/latest/").await.ok();
        assert_eq!(
            (&latest["source"], &latest["spread"]),
            (&"buenbit".into(), &1_655_600.0.into())
        );
    }
}

#[tokio::test]
async fn a_sample_of_an_hour_without_text_form_is_not_recorded() {
    let database = Database::new().await;
    database.record(&[(1_700_000_000, "1.5"), (1_700_100_000, "2.5")]).await;
    let history = database.history().await;
    history.maintain(1_700_150_000, text_kept_for(24)).await.unwrap();
    let late = observation(1_700_000_020, "3.5");
    assert_eq!(database.record_one(&late).await, Recorded::HourClosed);
    assert_eq!(database.record(&[(1_700_100_020, "3.5")]).await, 1);
}
