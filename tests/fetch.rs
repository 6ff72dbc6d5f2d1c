//! The job `fetch_btc_ars` against a faulty exchange.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    domain::{Slot, Slots},
    jobs::FetchBtcArs,
    queue::Job,
    store::keys,
};

use crate::harness::{Database, FakeExchange, SOON, eventually, free_port, slots_of};

const AT_ONCE: Duration = Duration::ZERO;

struct Bench {
    database: Database,
    exchange: FakeExchange,
    slots: Slots,
}

impl Bench {
    async fn with_slots_of(seconds: u64) -> Self {
        Self {
            database: Database::new().await,
            exchange: FakeExchange::start().await,
            slots: slots_of(seconds),
        }
    }

    /// Waits until the next slot begins and returns it.
    async fn fresh_slot(&self) -> Slot {
        let next = self.slots.containing(Clock::machine().unix_seconds()).next();
        tokio::time::sleep(Clock::machine().until(next.start())).await;
        next
    }

    fn slot_of_now(&self) -> Slot {
        self.slots.containing(Clock::machine().unix_seconds())
    }

    /// Runs the job of the slot. The error is the reason why it was given up.
    async fn fetch(&self, slot: Slot) -> Result<(), String> {
        let timeout = Duration::from_millis(300);
        let sources = self.exchange.sources(timeout, self.slots.length());
        let context = self.database.context(self.slots, sources, FakeExchange::permissive_filter());
        let job = FetchBtcArs { slot: slot.start() };
        job.run(context, 1).await.map_err(|reason| reason.to_string())
    }
}

#[tokio::test]
async fn the_price_is_stored_exactly_as_its_source_sent_it() {
    let bench = Bench::with_slots_of(3600).await;
    bench.exchange.set_response(AT_ONCE, 200, FakeExchange::ticker("84436700.10"));
    let before = Clock::machine().unix_seconds();
    bench.fetch(bench.slot_of_now()).await.unwrap();
    let prices = bench.database.prices().await;
    let second: i64 = prices[0].strip_prefix("84436700.10:").unwrap().parse().unwrap();
    assert!((before..=Clock::machine().unix_seconds()).contains(&second), "{prices:?}");
    let score: i64 = bench.database.command(&["ZSCORE", keys::PRICES, &prices[0]]).await;
    assert_eq!(score, second);
}

#[tokio::test]
async fn the_same_slot_twice_keeps_one_sample() {
    let bench = Bench::with_slots_of(3600).await;
    let slot = bench.slot_of_now();
    bench.fetch(slot).await.unwrap();
    bench.exchange.set_response(AT_ONCE, 200, FakeExchange::ticker("1.0"));
    bench.fetch(slot).await.unwrap();
    let prices = bench.database.prices().await;
    assert!(prices.len() == 1 && prices[0].starts_with("84436700.0:"), "{prices:?}");
}

#[tokio::test]
async fn a_job_whose_slot_is_over_is_dropped_without_a_request() {
    let bench = Bench::with_slots_of(10).await;
    let past = bench.slots.containing(Clock::machine().unix_seconds() - 10);
    let reason = bench.fetch(past).await.unwrap_err();
    assert!(reason.contains("the slot was over"), "{reason}");
    assert_eq!(bench.exchange.request_count(), 0);
    assert!(bench.database.prices().await.is_empty());
}

#[tokio::test]
async fn an_early_job_waits_for_its_slot_unless_it_is_far_ahead() {
    let bench = Bench::with_slots_of(2).await;
    let next = bench.fresh_slot().await.next();
    bench.fetch(next).await.unwrap();
    let prices = bench.database.prices().await;
    let second: i64 = prices[0].split(':').nth(1).unwrap().parse().unwrap();
    assert!(next.contains(second), "{prices:?}");
    let reason = bench.fetch(next.next().next().next()).await.unwrap_err();
    assert!(reason.contains("begins in"), "{reason}");
    assert_eq!(bench.exchange.request_count(), 1);
}

#[tokio::test]
async fn a_failed_request_is_retried_within_the_slot() {
    for (latency, status, body) in [
        (AT_ONCE, 500, String::new()),
        (AT_ONCE, 429, String::new()),
        (AT_ONCE, 200, "<html>".to_owned()),
        (AT_ONCE, 200, FakeExchange::ticker("-1")),
        (Duration::from_secs(2), 200, FakeExchange::ticker("1.0")),
    ] {
        let bench = Bench::with_slots_of(3600).await;
        bench.exchange.set_response(latency, status, body);
        let fetched = bench.fetch(bench.slot_of_now());
        let recovers = async {
            eventually(SOON, "a second request", || async { bench.exchange.request_count() >= 2 })
                .await;
            bench.exchange.set_response(AT_ONCE, 200, FakeExchange::ticker("84436700.0"));
        };
        let (fetched, ()) = tokio::join!(fetched, recovers);
        fetched.unwrap();
        let prices = bench.database.prices().await;
        assert!(prices.len() == 1 && prices[0].starts_with("84436700.0:"), "{prices:?}");
    }
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_given_up_at_the_end_of_the_slot_with_its_reason() {
    let check = |latency, status, body: String, expected: &'static str| async move {
        let bench = Bench::with_slots_of(2).await;
        bench.exchange.set_response(latency, status, body);
        let slot = bench.fresh_slot().await;
        let reason = bench.fetch(slot).await.unwrap_err();
        assert!(reason.contains(expected), "{reason}");
        assert!(Clock::machine().unix_seconds() <= slot.end(), "the job ran longer than its slot");
        assert!(bench.exchange.request_count() >= 2, "there was no second request");
        assert!(bench.database.prices().await.is_empty());
    };
    tokio::join!(
        check(AT_ONCE, 503, String::new(), "HTTP status 503"),
        check(AT_ONCE, 200, "not json".to_owned(), "not json"),
        check(AT_ONCE, 200, "{}".to_owned(), "nothing at /errors"),
        check(AT_ONCE, 200, FakeExchange::ticker("NaN"), "\"NaN\" is not a plain decimal"),
        check(AT_ONCE, 200, FakeExchange::ticker("0"), "not a positive price"),
        check(AT_ONCE, 200, "x".repeat(2 * 1024 * 1024), "longer than"),
        check(Duration::from_secs(9), 200, String::new(), "no answer within 300ms"),
    );
}

#[tokio::test]
async fn a_refused_request_is_not_retried() {
    let bench = Bench::with_slots_of(3600).await;
    bench.exchange.set_response(AT_ONCE, 403, String::new());
    let reason = bench.fetch(bench.slot_of_now()).await.unwrap_err();
    assert!(reason.contains("HTTP status 403"), "{reason}");
    assert_eq!(bench.exchange.request_count(), 1);
}

#[tokio::test]
async fn an_unreachable_exchange_is_reported_with_the_cause() {
    let mut bench = Bench::with_slots_of(1).await;
    bench.exchange.url.set_port(Some(free_port())).unwrap();
    let slot = bench.fresh_slot().await;
    let reason = bench.fetch(slot).await.unwrap_err();
    assert!(
        reason.contains("buenbit: cannot be reached") && reason.contains("refused"),
        "{reason}"
    );
}
