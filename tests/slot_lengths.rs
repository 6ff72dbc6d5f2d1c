//! The length of slots changes: coverage and gaps before and after the change.

use std::time::Duration;

use cotiza::history::{History, Retention};

use crate::{
    coverage::all_gaps,
    harness::{Database, UNLIMITED, between, observations, samples, slots_of},
};

/// Half an hour in slots of 10 s, followed by half an hour in slots of 20 s, the last ten of which are missed.
struct ChangedSlots {
    database: Database,
    /// A history that was loaded before the first sample.
    history: History,
    start: i64,
}

impl ChangedSlots {
    async fn new() -> Self {
        let (database, start) = (Database::new().await, 1_699_999_200);
        let store = |seconds| database.store_of(Duration::from_secs(seconds));
        let history = History::new(store(10), UNLIMITED);
        history.refresh().await.unwrap();
        store(10).set_slots(start).await.unwrap();
        let first = observations(&samples(start).every(10).count(180).price("5.5"));
        database.record_in(slots_of(10), &first).await;
        store(20).set_slots(start + 1805).await.unwrap();
        store(20).set_slots(start + 1900).await.unwrap();
        let second = observations(&samples(start + 1815).every(20).count(80).price("5.5"));
        database.record_in(slots_of(20), &second).await;
        Self { database, history, start }
    }

    async fn check(&self, history: &History) {
        history.refresh().await.unwrap();
        let (whole, now) = (between(self.start, self.start + 3599), self.start + 7000);
        let coverage = history.coverage(&whole, now).await.unwrap().value;
        assert_eq!((coverage.expected, coverage.recorded), (180 + 90, 180 + 80));
        let gaps = all_gaps(history, &whole, now).await;
        assert_eq!((gaps.len(), gaps[0].0, gaps[0].2.total()), (1, self.start + 3400, 10));
    }
}

#[tokio::test]
async fn a_new_slot_length_applies_from_the_time_of_the_change() {
    let changed = ChangedSlots::new().await;
    changed.check(&changed.history).await;
    changed.check(&changed.database.history().await).await;
}

#[tokio::test]
async fn a_new_slot_length_applies_to_sealed_hours_too() {
    let changed = ChangedSlots::new().await;
    let history = changed.database.history().await;
    let done = history.maintain(changed.start + 7000, Retention::default()).await.unwrap();
    assert_eq!(done.sealed, 1);
    changed.check(&changed.database.history().await).await;
}
