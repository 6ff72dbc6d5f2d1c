//! A source under watch: bounded in time, left alone when it fails, its usual time known.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    ExchangeError, PriceSource,
    breaker::{Breaker, State},
};
use crate::{
    clock::Clock,
    domain::{Attempt, Circuit, CircuitState, Failure, Quote},
};

/// How many answers the usual time is taken from, and how few are too few.
const MOST: usize = 100;
const FEWEST: usize = 10;
/// The shortest usual time: below it, a second request would help nobody.
const SHORTEST: Duration = Duration::from_millis(50);

/// A source and what is known of it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) weight: u32,
    timeout: Duration,
    source: Arc<dyn PriceSource>,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    breaker: Breaker,
    /// How long the last answers took.
    latencies: VecDeque<Duration>,
    /// What came of requests whose end nobody waited for any more.
    late: Vec<Attempt>,
}

/// What came of asking it.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its place among the sources.
    pub(super) index: usize,
    pub(super) took: Duration,
    pub(super) answer: Result<Quote, ExchangeError>,
}

impl Watched {
    /// A source that is asked for at most `timeout`, and left alone for `pause` after failures.
    pub(super) fn new(
        name: String,
        weight: u32,
        timeout: Duration,
        pause: Duration,
        source: Arc<dyn PriceSource>,
        clock: Clock,
    ) -> Self {
        let memory =
            Memory { breaker: Breaker::new(pause), latencies: VecDeque::new(), late: Vec::new() };
        Self { name, weight, timeout, source, clock, memory: Mutex::new(memory) }
    }

    /// Asks for leave to ask it.
    ///
    /// # Errors
    /// If it is left alone.
    pub(super) fn permit(&self) -> Result<(), ExchangeError> {
        let permitted = self.memory().breaker.permit(Instant::now(), self.timeout);
        permitted.map_err(|wait| ExchangeError::LeftAlone { wait: round(wait) })
    }

    /// Asks it, who was given leave, and remembers what came of it, also when nobody waits for the
    /// answer any more: how slow it is would never be known else.
    pub(super) fn ask(self: &Arc<Self>, index: usize) -> oneshot::Receiver<Asked> {
        let (answered, answer) = oneshot::channel();
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let started = Instant::now();
            let answer = timeout(source.timeout, source.source.quote()).await;
            let answer = answer.unwrap_or(Err(ExchangeError::Timeout { after: source.timeout }));
            let took = started.elapsed();
            source.remember(&answer, took);
            if let Err(asked) = answered.send(Asked { index, took, answer }) {
                let attempt = source.attempt(took, asked.answer.as_ref().copied());
                source.memory().late.push(attempt);
            }
        });
        answer
    }

    /// An attempt that has just ended.
    pub(super) fn attempt(&self, took: Duration, answer: Result<Quote, &ExchangeError>) -> Attempt {
        let answer = answer.map_err(Failure::from);
        Attempt { source: self.name.clone(), at: self.clock.unix_seconds(), took, answer }
    }

    /// What came of requests that nobody waited for, once.
    pub(super) fn late(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.memory().late)
    }

    fn remember(&self, answer: &Result<Quote, ExchangeError>, took: Duration) {
        let memory = &mut *self.memory();
        match answer {
            Ok(_) => {
                memory.latencies.push_back(took);
                if memory.latencies.len() > MOST {
                    memory.latencies.pop_front();
                }
                memory.breaker.succeeded();
            }
            // It is well; that it was wrong is judged price by price.
            Err(ExchangeError::Rejected { .. }) => memory.breaker.succeeded(),
            Err(ExchangeError::Status { retry_after, .. }) => {
                memory.breaker.failed(Instant::now(), *retry_after);
            }
            Err(_) => memory.breaker.failed(Instant::now(), None),
        }
    }

    /// The time within which 95 of 100 answers come; half of what it may take at most while there
    /// are too few to tell. Nobody waits for one that has failed again and again.
    pub(super) fn usual_time(&self) -> Duration {
        let memory = self.memory();
        if memory.breaker.state(Instant::now()) != State::Closed {
            return SHORTEST;
        }
        let mut latencies: Vec<_> = memory.latencies.iter().copied().collect();
        drop(memory);
        latencies.sort_unstable();
        let at = latencies.len() * 95 / 100;
        let usual = latencies.get(at).filter(|_| latencies.len() >= FEWEST);
        usual.map_or(self.timeout / 2, |usual| (*usual).max(SHORTEST))
    }

    /// Its circuit breaker.
    pub(super) fn circuit(&self) -> Circuit {
        let state = match self.memory().breaker.state(Instant::now()) {
            State::Closed => CircuitState::Closed,
            State::HalfOpen => CircuitState::HalfOpen,
            State::Open(wait) => {
                let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
                CircuitState::Open(self.clock.unix_seconds().saturating_add(seconds))
            }
        };
        Circuit { source: self.name.clone(), state }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To whole milliseconds, for people.
fn round(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
