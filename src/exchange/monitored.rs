//! A source with a time limit, a circuit breaker and measured latencies.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::{ExchangeError, PriceSource, breaker::Breaker};
use crate::{
    clock::Clock,
    domain::{Attempt, Circuit, CircuitState, Failure, Quote},
};

/// The number of latencies that are kept, and the number below which they say nothing.
const MAX_LATENCIES: usize = 100;
const MIN_LATENCIES: usize = 10;
/// The shortest usual latency: a second request that is sent earlier would not help.
const SHORTEST: Duration = Duration::from_millis(50);

/// A source and its state in this process.
#[derive(Debug)]
pub(super) struct MonitoredSource {
    pub(super) name: String,
    pub(super) weight: u32,
    timeout: Duration,
    source: Arc<dyn PriceSource>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// The latencies of the last answers.
    latencies: VecDeque<Duration>,
    /// The results of requests whose round had already ended.
    late: Vec<Attempt>,
}

/// The result of a request.
#[derive(Debug)]
pub(super) struct Response {
    /// The position of the source among those of the round.
    pub(super) index: usize,
    pub(super) took: Duration,
    pub(super) answer: Result<Quote, ExchangeError>,
}

impl MonitoredSource {
    /// A source whose requests take at most `timeout`, and whose circuit is open for `pause` after
    /// repeated failures.
    pub(super) fn new(
        name: String,
        weight: u32,
        timeout: Duration,
        pause: Duration,
        source: Arc<dyn PriceSource>,
        clock: Clock,
    ) -> Self {
        let state =
            State { breaker: Breaker::new(pause), latencies: VecDeque::new(), late: Vec::new() };
        Self { name, weight, timeout, source, clock, state: Mutex::new(state) }
    }

    /// Checks that a request may be sent.
    ///
    /// # Errors
    /// Returns [`ExchangeError::CircuitOpen`] if not.
    pub(super) fn permit(&self) -> Result<(), ExchangeError> {
        let permitted = self.state().breaker.permit(Instant::now(), self.timeout);
        permitted.map_err(|wait| ExchangeError::CircuitOpen { wait: whole_milliseconds(wait) })
    }

    /// Sends a request; call [`Self::permit`] first. The result is recorded even if the round ends before
    /// it arrives: otherwise the latency of a slow source would never be known.
    pub(super) fn send_request(self: &Arc<Self>, index: usize) -> oneshot::Receiver<Response> {
        let (sender, receiver) = oneshot::channel();
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let started = Instant::now();
            let answer = timeout(source.timeout, source.source.quote()).await;
            let answer = answer.unwrap_or(Err(ExchangeError::Timeout { after: source.timeout }));
            let took = started.elapsed();
            source.record(&answer, took);
            if let Err(response) = sender.send(Response { index, took, answer }) {
                let attempt = source.attempt(took, response.answer.as_ref().copied());
                source.state().late.push(attempt);
            }
        });
        receiver
    }

    /// An attempt that has just ended.
    pub(super) fn attempt(&self, took: Duration, answer: Result<Quote, &ExchangeError>) -> Attempt {
        let answer = answer.map_err(Failure::from);
        Attempt { source: self.name.clone(), at: self.clock.unix_seconds(), took, answer }
    }

    /// Takes the results of requests whose round had already ended.
    pub(super) fn take_late(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.state().late)
    }

    fn record(&self, answer: &Result<Quote, ExchangeError>, took: Duration) {
        let state = &mut *self.state();
        match answer {
            Ok(_) => {
                state.latencies.push_back(took);
                if state.latencies.len() > MAX_LATENCIES {
                    state.latencies.pop_front();
                }
                state.breaker.succeeded();
            }
            // The source works; its prices are checked one by one.
            Err(ExchangeError::Rejected { .. }) => state.breaker.succeeded(),
            Err(ExchangeError::Status { retry_after, .. }) => {
                state.breaker.failed(Instant::now(), *retry_after);
            }
            Err(_) => state.breaker.failed(Instant::now(), None),
        }
    }

    /// The 95th percentile of the latencies, or half of the time limit while too few are known. The
    /// shortest one for a source that has failed repeatedly: there is no point in waiting for it.
    pub(super) fn usual_latency(&self) -> Duration {
        let state = self.state();
        if state.breaker.state(Instant::now()) != CircuitState::Closed {
            return SHORTEST;
        }
        let mut latencies: Vec<_> = state.latencies.iter().copied().collect();
        drop(state);
        latencies.sort_unstable();
        let at = latencies.len() * 95 / 100;
        let usual = latencies.get(at).filter(|_| latencies.len() >= MIN_LATENCIES);
        usual.map_or(self.timeout / 2, |usual| (*usual).max(SHORTEST))
    }

    /// The state of the circuit breaker.
    pub(super) fn circuit(&self) -> Circuit {
        let (state, now) = (self.state(), Instant::now());
        let open_until = state.breaker.open_for(now).map(|wait| {
            let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
            self.clock.unix_seconds().saturating_add(seconds)
        });
        Circuit { state: state.breaker.state(now), open_until }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounds down, for messages.
fn whole_milliseconds(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that is never queried.
    #[derive(Debug)]
    struct NoSource;

    impl PriceSource for NoSource {
        fn quote(&self) -> futures_util::future::BoxFuture<'_, Result<Quote, ExchangeError>> {
            Box::pin(std::future::pending())
        }
    }

    fn source() -> MonitoredSource {
        let (timeout, pause) = (Duration::from_secs(4), Duration::from_secs(5));
        MonitoredSource::new("x".into(), 1, timeout, pause, Arc::new(NoSource), Clock::machine())
    }

    /// Records answers with these latencies in milliseconds.
    fn answer(source: &MonitoredSource, latencies: impl IntoIterator<Item = u64>) {
        let price: crate::domain::Price = "1".parse().unwrap();
        for latency in latencies {
            source.record(&Ok(Quote { ask: price, bid: None }), Duration::from_millis(latency));
        }
    }

    #[test]
    fn the_usual_latency_is_half_of_the_time_limit_until_ten_answers_are_known() {
        let source = source();
        answer(&source, [100; 9]);
        assert_eq!(source.usual_latency(), Duration::from_secs(2));
        answer(&source, [100]);
        assert_eq!(source.usual_latency(), Duration::from_millis(100));
    }

    #[test]
    fn the_usual_latency_is_the_95th_percentile_of_the_last_hundred() {
        let source = source();
        answer(&source, [3000; 50]);
        answer(&source, 1..=100);
        assert_eq!(source.usual_latency(), Duration::from_millis(96));
    }

    #[test]
    fn the_usual_latency_is_never_shorter_than_50_ms() {
        let source = source();
        answer(&source, [1; 20]);
        assert_eq!(source.usual_latency(), SHORTEST);
    }

    #[test]
    fn a_source_with_an_open_circuit_is_not_waited_for() {
        let source = source();
        answer(&source, [1000; 20]);
        let timeout = || Err(ExchangeError::Timeout { after: Duration::from_secs(1) });
        for _ in 0..5 {
            source.record(&timeout(), Duration::ZERO);
        }
        assert_eq!(source.usual_latency(), SHORTEST);
        let circuit = source.circuit();
        assert_eq!(circuit.state, CircuitState::Open);
        let now = source.clock.unix_seconds();
        assert!((now + 3..=now + 5).contains(&circuit.open_until.unwrap()), "{circuit:?}");
    }

    #[test]
    fn a_rejected_price_does_not_count_as_a_failure_of_the_source() {
        let source = source();
        let reason = crate::domain::PriceRejection::NotCurrent { second: 1, age: 100 };
        let price = "1".parse().unwrap();
        for _ in 0..5 {
            let rejected = ExchangeError::Rejected { price, reason: reason.clone() };
            source.record(&Err(rejected), Duration::ZERO);
        }
        assert_eq!(source.circuit(), Circuit { state: CircuitState::Closed, open_until: None });
    }

    #[test]
    fn the_last_hundred_latencies_count() {
        let source = source();
        // The slowest answer is the oldest one of the hundred.
        answer(&source, [1000; 7]);
        answer(&source, 1..=99);
        assert_eq!(source.usual_latency(), Duration::from_millis(96));
    }

    #[test]
    fn no_request_is_permitted_while_the_circuit_is_open() {
        let source = source();
        assert!(source.permit().is_ok());
        let hour = Some(Duration::from_hours(1));
        let error = ExchangeError::Status { status: 429, retry_after: hour };
        source.record(&Err(error), Duration::ZERO);
        let error = source.permit().unwrap_err();
        let ExchangeError::CircuitOpen { wait } = error else { panic!("{error}") };
        assert!(wait > Duration::from_mins(50), "{wait:?}");
        assert_eq!(wait.subsec_nanos() % 1_000_000, 0, "whole milliseconds: {wait:?}");
    }

    #[tokio::test]
    async fn a_late_result_is_part_of_a_later_round() {
        let limit = Duration::from_millis(10);
        let source = Arc::new(MonitoredSource { timeout: limit, ..source() });
        drop(source.send_request(0));
        let late = async {
            loop {
                let late = source.take_late();
                if !late.is_empty() {
                    break late;
                }
                tokio::time::sleep(limit).await;
            }
        };
        let late = timeout(Duration::from_secs(5), late).await.unwrap();
        let failure = late[0].answer.clone().unwrap_err();
        assert_eq!((late.len(), late[0].source.as_str()), (1, "x"));
        assert_eq!(failure.text, "no answer within 10ms");
        assert_eq!(source.take_late(), [], "it is taken once");
    }
}
