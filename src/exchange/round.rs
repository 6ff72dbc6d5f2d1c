//! One round of requests: which sources were queried, what they answered, which price was selected.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::oneshot::Receiver, time::Instant};

use super::{
    AnswerError, ExchangeError,
    monitored::{MonitoredSource, Response},
};
use crate::domain::{
    Attempt, Failure, Price, PriceFilter, PriceRejection, Provenance, Quote, Side,
};

/// The result of a round.
#[derive(Debug)]
pub struct Round {
    /// The requests whose results arrived during the round.
    pub attempts: Vec<Attempt>,
    /// The selected price, or the error of the last source.
    pub outcome: Result<Selected, ExchangeError>,
    /// Whether another round soon may succeed.
    pub should_retry: bool,
}

/// The price that is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The price.
    pub price: Price,
    /// Its source or sources, with their ask and bid.
    pub provenance: Provenance,
}

/// A price within the bounds, which may still be a jump.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) source: Arc<MonitoredSource>,
    pub(super) quote: Quote,
    pub(super) price: Price,
    /// Its position among the attempts.
    attempt: usize,
}

/// The requests of a round that is in progress.
pub(super) struct Requests<'a> {
    side: Side,
    price_filter: &'a PriceFilter,
    until: Instant,
    started: Instant,
    pending: FuturesUnordered<Receiver<Response>>,
    sources: Vec<Arc<MonitoredSource>>,
    /// The positions in `sources` of those that have answered.
    answered: Vec<usize>,
    attempts: Vec<Attempt>,
    pub(super) candidates: Vec<Candidate>,
    last_error: Option<ExchangeError>,
    should_retry: bool,
}

impl<'a> Requests<'a> {
    pub(super) fn new(side: Side, price_filter: &'a PriceFilter, until: Instant) -> Self {
        Self {
            side,
            price_filter,
            until,
            started: Instant::now(),
            pending: FuturesUnordered::new(),
            sources: Vec::new(),
            answered: Vec::new(),
            attempts: Vec::new(),
            candidates: Vec::new(),
            last_error: None,
            should_retry: false,
        }
    }

    /// Sends a request to a source unless its circuit is open. Returns whether it was sent.
    pub(super) fn send(&mut self, source: &Arc<MonitoredSource>) -> bool {
        if let Err(error) = source.permit() {
            self.record_error(source, error);
            return false;
        }
        self.attempts.extend(source.take_late());
        self.pending.push(source.send_request(self.sources.len()));
        self.sources.push(Arc::clone(source));
        true
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits for the next response; returns `None` when all have arrived or the time is over.
    pub(super) async fn next(&mut self) -> Option<()> {
        let next = tokio::time::timeout_at(self.until, self.pending.next()).await;
        let Response { index, took, answer } = next.ok()??.ok()?;
        let source = Arc::clone(self.sources.get(index)?);
        let answer = answer.and_then(|quote| Ok((quote, self.price_to_record(&quote)?)));
        self.answered.push(index);
        self.attempts.push(source.attempt(took, answer.as_ref().map(|(quote, _)| *quote)));
        match answer {
            Ok((quote, price)) => {
                let attempt = self.attempts.len() - 1;
                self.candidates.push(Candidate { source, quote, price, attempt });
            }
            Err(error) => self.record_error(&source, error),
        }
        Some(())
    }

    /// The price of the configured side of a quote, if it is within the bounds.
    fn price_to_record(&self, quote: &Quote) -> Result<Price, ExchangeError> {
        let price = quote.price(self.side).ok_or(AnswerError::NoBid)?;
        self.price_filter.check_bounds(price).map_err(|reason| rejected(price, reason))?;
        Ok(price)
    }

    /// Checks that a price is not an unconfirmed jump, given all candidates.
    pub(super) fn check_jump(&self, price: Price) -> Result<(), ExchangeError> {
        let current: Vec<Price> = self.candidates.iter().map(|candidate| candidate.price).collect();
        let checked = self.price_filter.check_jump(price, &current);
        checked.map_err(|reason| rejected(price, reason))
    }

    /// Removes the candidates that are unconfirmed jumps; their attempts count as failed.
    pub(super) fn reject_jumps(&mut self) {
        let check = |candidate: &Candidate| self.check_jump(candidate.price).err();
        let errors: Vec<_> = self.candidates.iter().map(check).collect();
        let candidates = std::mem::take(&mut self.candidates);
        for (candidate, error) in candidates.into_iter().zip(errors) {
            let Some(error) = error else {
                self.candidates.push(candidate);
                continue;
            };
            if let Some(attempt) = self.attempts.get_mut(candidate.attempt) {
                attempt.answer = Err(Failure::from(&error));
            }
            self.record_error(&candidate.source, error);
        }
    }

    /// Ends the round with a price.
    pub(super) fn succeed(self, selected: Selected) -> Round {
        Round { attempts: self.attempts, outcome: Ok(selected), should_retry: false }
    }

    /// The error of the round: that of a source that has not answered, else that of the last source.
    pub(super) fn error(&self) -> ExchangeError {
        let mut slow = self.sources.iter().enumerate();
        let slow = slow.find(|(index, _)| !self.answered.contains(index)).map(|(_, source)| {
            let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let error = ExchangeError::Timeout { after: Duration::from_millis(elapsed) };
            ExchangeError::Source { name: source.name.clone(), error: Box::new(error) }
        });
        slow.or_else(|| self.last_error.clone())
            .unwrap_or(ExchangeError::CircuitOpen { wait: Duration::ZERO })
    }

    /// Ends the round because the median of the candidates is itself a jump. A retry may succeed.
    pub(super) fn fail_median(mut self, error: ExchangeError) -> Round {
        self.should_retry = true;
        let name = self.names();
        self.fail(ExchangeError::Source { name, error: Box::new(error) })
    }

    /// The names of the candidates' sources in alphabetical order, joined by `+`.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> =
            self.candidates.iter().map(|candidate| candidate.source.name.as_str()).collect();
        names.sort_unstable();
        names.join("+")
    }

    /// Ends the round without a price.
    pub(super) fn fail(self, error: ExchangeError) -> Round {
        let should_retry = self.should_retry || !self.pending.is_empty();
        Round { attempts: self.attempts, outcome: Err(error), should_retry }
    }

    fn record_error(&mut self, source: &MonitoredSource, error: ExchangeError) {
        self.should_retry |= error.is_transient();
        // The error of a source that was queried says more than an open circuit.
        if error.is_circuit_open() && self.last_error.is_some() {
            return;
        }
        let (name, error) = (source.name.clone(), Box::new(error));
        self.last_error = Some(ExchangeError::Source { name, error });
    }
}

fn rejected(price: Price, reason: PriceRejection) -> ExchangeError {
    ExchangeError::Rejected { price, reason }
}
