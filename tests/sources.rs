//! Several sources: which source is used, and which prices are accepted.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    config::Policy,
    domain::{MissedReason, Slot},
    jobs::Context,
    store::keys,
};

use crate::harness::{FakeExchange, Market, SOON, eventually, slots_of};

const AT_ONCE: Duration = Duration::ZERO;
const GOOD: &str = "84436700.0";

fn ticker(ask: &str) -> String {
    FakeExchange::ticker(ask)
}

/// Returns three sources, the first two of which fail, after one job.
async fn only_third_source_works() -> Market {
    let market = Market::of(3).await;
    market.exchanges[0].set_response(AT_ONCE, 500, "");
    market.exchanges[1].set_response(AT_ONCE, 200, "<html>");
    market.exchanges[2].set_response(AT_ONCE, 200, ticker("84000000.5"));
    market.fetch().await.unwrap();
    market
}

#[tokio::test]
async fn the_next_source_is_used_when_one_fails() {
    let market = only_third_source_works().await;
    assert_eq!(market.recorded().await, (84_000_000.5, "c".to_owned()));
    let requests: Vec<usize> = market.exchanges.iter().map(FakeExchange::request_count).collect();
    assert_eq!(requests, [1, 1, 1], "one round was enough");
}

#[tokio::test]
async fn all_attempts_are_reported_with_their_results() {
    let market = only_third_source_works().await;
    eventually(SOON, "the attempts are reported", || async {
        market.sources_report().await["sources"][2]["answered"] == 1
    })
    .await;
    let report = market.sources_report().await;
    assert_eq!(report["sources"][0]["failed"]["exchange_error"], 1);
    assert_eq!(report["sources"][0]["last_failure"]["reason"], "answered with HTTP status 500");
    assert_eq!(report["sources"][1]["failed"]["bad_answer"], 1);
    assert_eq!(report["sources"][2]["last_answer"]["ask"], 84_000_000.5);
    assert_eq!(
        (&report["sources"][2]["share"], &report["sources"][0]["share"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(report["sources"][2]["success_share"], 1.0);
}

#[tokio::test]
async fn the_next_source_is_used_when_one_is_slower_than_usual() {
    let market = Market::of(2).await;
    market.exchanges[0].set_response(Duration::from_millis(900), 200, ticker(GOOD));
    market.exchanges[1].set_response(AT_ONCE, 200, ticker("84000000.5"));
    market.fetch().await.unwrap();
    assert_eq!(market.recorded().await, (84_000_000.5, "b".to_owned()));
}

#[tokio::test]
async fn the_next_source_is_not_used_when_the_first_one_is_as_fast_as_usual() {
    let market = Market::of(2).await;
    market.fetch().await.unwrap();
    assert_eq!(market.recorded().await.1, "a");
    assert_eq!(market.exchanges[1].request_count(), 0);
}

#[tokio::test]
async fn a_source_that_hangs_causes_no_missed_slot_and_is_reported() {
    let mut market = Market::of(2).await;
    market.slots = slots_of(1);
    market.config.sources.named.get_mut("a").unwrap().timeout = Duration::from_mins(1);
    market.exchanges[0].set_response(Duration::from_mins(1), 200, ticker(GOOD));
    let context = market.context();
    let mut slot = market.now();
    for _ in 0..8 {
        slot = slot.next();
        market.fetch_with(&context, slot).await.unwrap();
    }
    assert_eq!(market.database.prices().await.len(), 8);
    // After enough failures its circuit is open, and the job no longer waits for it.
    let slot = market.now().next();
    market.fetch_with(&context, slot).await.unwrap();
    let left = Clock::machine().until(slot.end());
    assert!(left > Duration::from_millis(600), "only {left:?} of the slot were left");
    eventually(SOON, "its timeouts are reported", || async {
        market.sources_report().await["sources"][0]["failed"]["exchange_timeout"].as_u64()
            >= Some(3)
    })
    .await;
}

/// Records a price in the next slot and returns that slot; then raises the price of the first exchange by
/// 100 million pesos.
async fn record_then_jump(market: &Market, context: &Context) -> Slot {
    let slot = market.now().next();
    market.fetch_with(context, slot).await.unwrap();
    market.exchanges[0].set_response(AT_ONCE, 200, ticker("184436700.0"));
    slot
}

#[tokio::test]
async fn a_jump_that_another_source_does_not_confirm_is_never_recorded() {
    let mut market = Market::of(2).await;
    market.slots = slots_of(1);
    let context = market.context();
    let mut slot = record_then_jump(&market, &context).await;
    for _ in 0..5 {
        slot = slot.next();
        market.fetch_with(&context, slot).await.unwrap();
    }
    let prices = market.database.prices().await;
    assert_eq!(prices.len(), 6);
    assert!(prices.iter().all(|member| member.starts_with("84436700.0:")), "{prices:?}");
    eventually(SOON, "the rejected prices are reported", || async {
        let report = market.sources_report().await;
        report["sources"][0]["failed"]["price_rejected"] == 5
            && report["sources"][0]["rejected"].as_array().is_some_and(|list| list.len() == 5)
    })
    .await;
}

/// Returns three sources with the prices 84, 85 and 184 million, of which the median is recorded.
async fn median_market() -> Market {
    let mut market = Market::of(3).await;
    market.config.sources.policy = Policy::Median;
    for (exchange, ask) in market.exchanges.iter().zip(["84000000", "85000000", "184000000"]) {
        exchange.set_response(AT_ONCE, 200, ticker(ask));
    }
    market
}

#[tokio::test]
async fn the_median_of_all_sources_can_be_recorded() {
    let market = median_market().await;
    market.fetch().await.unwrap();
    let (price, source) = market.recorded().await;
    assert!((price - 85_000_000.0).abs() < f64::EPSILON, "{price}");
    assert_eq!(source, "a+b+c");
}

#[tokio::test]
async fn the_median_is_weighted() {
    let mut market = median_market().await;
    // The weight of a equals that of the two others, so the median is the mean of a and the next price.
    market.config.sources.named.get_mut("a").unwrap().weight = 2;
    market.fetch().await.unwrap();
    let (price, _) = market.recorded().await;
    assert!((price - 84_500_000.0).abs() < f64::EPSILON, "{price}");
}

#[tokio::test]
async fn a_price_far_from_recent_ones_is_excluded_from_the_median_and_reported() {
    let mut market = median_market().await;
    market.config.sources.named.get_mut("a").unwrap().weight = 2;
    let second = market.now().start() - 5;
    let member = format!("84000000.0:{second}");
    market.database.put_prices(&[(second.to_string(), member)]).await;
    market.fetch().await.unwrap();
    let latest = market.database.history().await.latest().await.unwrap().value.unwrap();
    assert_eq!(latest.sample.price.to_string(), "84000000");
    eventually(SOON, "the rejected price is reported", || async {
        let rejected = market.store().rejected_prices().await.unwrap();
        rejected.iter().any(|rejected| rejected.source == "c")
    })
    .await;
}

#[tokio::test]
async fn without_a_quorum_no_median_is_recorded_and_the_error_has_the_reason() {
    let mut market = median_market().await;
    market.slots = slots_of(1);
    for exchange in &market.exchanges[1..] {
        exchange.set_response(AT_ONCE, 503, "");
    }
    let error = market.fetch_with(&market.context(), market.now().next()).await.unwrap_err();
    assert!(error.contains("1 of the 2 sources that a median needs"), "{error}");
    assert!(error.contains("HTTP status 503"), "{error}");
    assert!(market.database.prices().await.is_empty());
}

/// Returns two sources, the second of which is disabled, with slots of one second.
async fn without_second_source() -> Market {
    let mut market = Market::of(2).await;
    market.slots = slots_of(1);
    market.config.sources.named.get_mut("b").unwrap().enabled = false;
    market
}

/// Fetches in the given number of slots after `slot`, in which the jump is rejected.
async fn reject_jumps(market: &Market, context: &Context, mut slot: Slot, count: usize) {
    for _ in 0..count {
        slot = slot.next();
        let error = market.fetch_with(context, slot).await.unwrap_err();
        let expected = "a: price rejected: 184436700.0 is a jump from 84436700.0";
        assert!(error.contains(expected), "{error}");
        eventually(SOON, "the rejected price is stored", || async {
            let rejected = market.store().rejected_prices().await.unwrap();
            rejected.first().is_some_and(|rejected| rejected.slot == slot.start())
        })
        .await;
    }
}

#[tokio::test]
async fn a_jump_is_accepted_when_the_third_slot_confirms_it() {
    let market = without_second_source().await;
    let context = market.context();
    let slot = record_then_jump(&market, &context).await;
    reject_jumps(&market, &context, slot, 2).await;
    market.fetch_with(&context, market.now().next()).await.unwrap();
    assert_eq!(market.database.prices().await.len(), 2);
}

#[tokio::test]
async fn rejected_jumps_are_reported_as_reasons_and_by_source() {
    let market = without_second_source().await;
    let context = market.context();
    let slot = record_then_jump(&market, &context).await;
    reject_jumps(&market, &context, slot, 2).await;
    let key = keys::missed(MissedReason::PriceRejected);
    assert_eq!(market.database.command::<u64>(&["ZCARD", &key]).await, 2);
    let report = market.sources_report().await;
    let source = &report["sources"][0];
    let rejected = source["rejected"].as_array().unwrap();
    assert!(rejected.len() >= 2 && rejected[0]["price"] == 184_436_700.0, "{report}");
    assert!(source["failed"]["price_rejected"].as_u64() >= Some(2), "{report}");
}

#[tokio::test]
async fn a_jump_that_a_second_source_confirms_is_accepted_at_once() {
    let mut market = Market::of(2).await;
    market.slots = slots_of(1);
    let context = market.context();
    record_then_jump(&market, &context).await;
    market.exchanges[0].set_response(AT_ONCE, 200, ticker("54436700.0"));
    market.exchanges[1].set_response(AT_ONCE, 200, ticker("54000000.0"));
    market.fetch_with(&context, market.now().next()).await.unwrap();
    let prices = market.database.prices().await;
    assert!(prices.iter().any(|member| member.starts_with("54436700.0:")), "{prices:?}");
}

#[tokio::test]
async fn a_permanent_failure_of_one_source_does_not_end_retries_of_another() {
    let market = Market::of(2).await;
    market.exchanges[0].set_response(AT_ONCE, 500, "");
    market.exchanges[1].set_response(AT_ONCE, 403, "");
    let recovers = async {
        eventually(SOON, "a second request is sent", || async {
            market.exchanges[0].request_count() >= 2
        })
        .await;
        market.exchanges[0].set_response(AT_ONCE, 200, ticker(GOOD));
    };
    let (fetched, ()) = tokio::join!(market.fetch(), recovers);
    fetched.unwrap();
    assert_eq!(market.recorded().await.1, "a");
}
