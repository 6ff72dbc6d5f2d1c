//! Tests of the selection of one price from the answers of several sources.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::*;
use crate::{
    config::Config,
    domain::{CircuitState, MissedReason, Quote, RecentPrices},
    exchange::PriceSource,
};

/// A time limit that no test reaches.
const LONG: Duration = Duration::from_secs(20);

/// A source that answers after some time.
#[derive(Debug)]
struct FakeSource {
    delay: Duration,
    answer: Result<Quote, ExchangeError>,
    requests: AtomicUsize,
}

impl FakeSource {
    fn new(answer: Result<Quote, ExchangeError>) -> Self {
        Self { delay: Duration::ZERO, answer, requests: AtomicUsize::new(0) }
    }

    fn after(self, millis: u64) -> Self {
        Self { delay: Duration::from_millis(millis), ..self }
    }
}

impl PriceSource for FakeSource {
    fn quote(&self) -> BoxFuture<'_, Result<Quote, ExchangeError>> {
        async {
            self.requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.delay).await;
            self.answer.clone()
        }
        .boxed()
    }
}

fn price(pesos: u64) -> Price {
    Price::from_pesos(pesos)
}

/// A source whose ask is this number of pesos; it reports no bid.
fn asking(ask: u64) -> FakeSource {
    FakeSource::new(Ok(Quote { ask: price(ask), bid: None }))
}

fn quoting(ask: u64, bid: u64) -> FakeSource {
    FakeSource::new(Ok(Quote { ask: price(ask), bid: Some(price(bid)) }))
}

fn failing(status: u16) -> FakeSource {
    FakeSource::new(Err(ExchangeError::Status { status, retry_after: None }))
}

/// Sources that are named a, b, c.
struct Market {
    fakes: Vec<Arc<FakeSource>>,
    sources: Sources,
}

impl Market {
    fn new(policy: Policy, fakes: impl IntoIterator<Item = FakeSource>) -> Self {
        let fakes: Vec<_> = fakes.into_iter().map(Arc::new).collect();
        let monitored = ["a", "b", "c"].into_iter().zip(&fakes).map(|(name, fake)| {
            let source = Arc::clone(fake) as Arc<dyn PriceSource>;
            let clock = Clock::machine();
            Arc::new(MonitoredSource::new(name.to_owned(), 1, LONG, LONG, source, clock))
        });
        let sources = Sources { policy, quorum: 2, side: Side::Ask, in_order: monitored.collect() };
        Self { fakes, sources }
    }

    fn first(fakes: impl IntoIterator<Item = FakeSource>) -> Self {
        Self::new(Policy::First, fakes)
    }

    fn median(fakes: impl IntoIterator<Item = FakeSource>) -> Self {
        Self::new(Policy::Median, fakes)
    }

    async fn fetch(&self) -> Round {
        self.fetch_within(LONG).await
    }

    async fn fetch_within(&self, time: Duration) -> Round {
        self.sources.fetch(&filter(&[]), Instant::now() + time).await
    }

    /// Fetches a price after one of 100 pesos was recorded.
    async fn fetch_after_100(&self) -> Round {
        self.sources.fetch(&filter(&[100]), Instant::now() + LONG).await
    }
}

/// A filter of jumps of more than 10 %, after these prices were recorded.
fn filter(recorded: &[u64]) -> PriceFilter {
    let recorded = recorded.iter().map(|pesos| price(*pesos)).collect();
    PriceFilter::new(price(1), price(1_000_000), 0.1)
        .with_recent(RecentPrices { recorded, rejected: Vec::new() })
}

/// The names of the sources whose results arrived.
fn attempted(round: &Round) -> Vec<&str> {
    round.attempts.iter().map(|attempt| attempt.source.as_str()).collect()
}

/// The names of the sources of the selected price, and its ask, in pesos.
fn selected(round: Round) -> (String, u64) {
    let selected = round.outcome.unwrap();
    let pesos = selected.price.ten_thousandths().unsigned_abs() / 10_000;
    (selected.provenance.source, pesos)
}

fn error(round: Round) -> String {
    round.outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn only_the_first_source_is_queried_if_it_answers_soon() {
    let market = Market::first([asking(100).after(50), asking(101)]);
    let round = market.fetch().await;
    assert_eq!(attempted(&round), ["a"]);
    assert_eq!(selected(round), ("a".to_owned(), 100));
    assert_eq!(market.fakes[1].requests.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_next_source_is_queried_when_one_fails() {
    let round = Market::first([failing(404), asking(101), asking(102)]).fetch().await;
    assert_eq!(attempted(&round), ["a", "b"]);
    assert_eq!(selected(round), ("b".to_owned(), 101));
}

#[tokio::test]
async fn the_next_source_is_queried_after_its_share_of_the_time() {
    let market = Market::first([asking(100).after(60_000), asking(101)]);
    let round = market.fetch_within(Duration::from_secs(1)).await;
    assert_eq!(selected(round), ("b".to_owned(), 101));
}

#[tokio::test]
async fn a_slow_source_is_awaited_if_the_others_fail() {
    let market = Market::first([asking(100).after(1500), failing(500)]);
    let round = market.fetch_within(Duration::from_secs(2)).await;
    assert_eq!(attempted(&round), ["b", "a"]);
    assert_eq!(selected(round), ("a".to_owned(), 100));
}

#[tokio::test]
async fn the_error_is_that_of_the_last_source() {
    let round = Market::first([failing(404), failing(500)]).fetch().await;
    assert!(round.should_retry, "a server error may be gone soon");
    assert_eq!(error(round), "b: answered with HTTP status 500");
}

#[tokio::test]
async fn a_round_in_which_all_errors_are_permanent_is_not_retried() {
    let round = Market::first([failing(404), failing(401)]).fetch().await;
    assert!(!round.should_retry);
}

#[tokio::test]
async fn the_error_is_that_of_a_source_that_has_not_answered() {
    let market = Market::median([failing(404), asking(100).after(60_000)]);
    let until = Instant::now() + Duration::from_millis(100);
    let round = market.sources.fetch_each(&filter(&[]), until).await;
    assert_eq!(attempted(&round), ["a"]);
    assert!(round.should_retry, "the next answer may be faster");
    let error = error(round);
    assert!(error.starts_with("b: no answer within "), "{error}");
}

#[tokio::test]
async fn an_open_circuit_is_not_the_error_if_a_source_was_queried() {
    let pause = ExchangeError::Status { status: 429, retry_after: Some(LONG) };
    let market = Market::first([failing(404), FakeSource::new(Err(pause))]);
    market.fetch().await;
    let round = market.fetch().await;
    assert_eq!(attempted(&round), ["a"]);
    assert_eq!(error(round), "a: answered with HTTP status 404");
    let states = market.sources.circuits().into_iter();
    let states: Vec<_> = states.map(|(name, circuit)| (name, circuit.state)).collect();
    let expected = [("a", CircuitState::Closed), ("b", CircuitState::Open)];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
}

#[tokio::test]
async fn an_unconfirmed_jump_counts_as_a_failed_attempt() {
    let round = Market::first([asking(200), failing(500)]).fetch_after_100().await;
    let failure = round.attempts[0].answer.clone().unwrap_err();
    assert_eq!(failure.reason, MissedReason::PriceRejected);
    assert_eq!(failure.rejected, Some(price(200)));
    let error = error(round);
    assert!(error.starts_with("a: price rejected: 200 is a jump from 100"), "{error}");
}

#[tokio::test]
async fn the_price_of_the_first_source_is_selected_if_another_confirms_the_jump() {
    let round = Market::first([asking(200), asking(205)]).fetch_after_100().await;
    assert!(round.attempts.iter().all(|attempt| attempt.answer.is_ok()));
    assert_eq!(selected(round), ("a".to_owned(), 200));
}

#[tokio::test]
async fn the_median_of_all_answers_is_selected() {
    let market = Market::median([quoting(110, 108), quoting(100, 96), failing(500)]);
    let selected = market.fetch().await.outcome.unwrap();
    assert_eq!(selected.price, price(105));
    let (ask, bid) = (Some(price(105)), Some(price(102)));
    assert_eq!(selected.provenance, Provenance { source: "a+b".to_owned(), ask, bid });
}

#[tokio::test]
async fn a_median_of_bids_above_that_of_the_asks_is_left_out() {
    let market = Market::median([asking(100), quoting(110, 110)]);
    let selected = market.fetch().await.outcome.unwrap();
    assert_eq!((selected.provenance.ask, selected.provenance.bid), (Some(price(105)), None));
}

#[tokio::test]
async fn a_median_needs_a_quorum() {
    let round = Market::median([asking(100), failing(500)]).fetch().await;
    assert_eq!(
        error(round),
        "1 of the 2 sources that a median needs have answered; b: answered with HTTP status 500"
    );
}

#[tokio::test]
async fn a_failing_source_is_left_alone_for_at_most_half_a_slot() {
    let mut config = Config::default().sources;
    // Nothing listens on this port.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = config.named.get_mut("buenbit").unwrap();
    source.url = format!("http://{closed}").parse().unwrap();
    let slot = Duration::from_secs(8);
    let sources = Sources::new(&config, slot, &Clock::machine()).unwrap();
    for _ in 0..5 {
        sources.fetch(&filter(&[]), Instant::now() + LONG).await;
    }
    let error = sources.in_order[0].permit().unwrap_err();
    let ExchangeError::CircuitOpen { wait } = error else { panic!("{error}") };
    assert!(wait <= slot / 2, "{wait:?}");
}
