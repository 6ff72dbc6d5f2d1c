//! One round of asking: who was asked, what they answered, which price came of it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{sync::oneshot::Receiver, time::Instant};

use super::{
    ExchangeError,
    watched::{Asked, Watched},
};
use crate::domain::{Attempt, Disbelief, Doubt, Failure, Price, Provenance, Quote, Side};

/// What came of a round.
#[derive(Debug)]
pub struct Round {
    /// Every request whose end was awaited.
    pub attempts: Vec<Attempt>,
    /// The price, or what became of the last source.
    pub outcome: Result<Chosen, ExchangeError>,
    /// Whether asking again soon may help.
    pub again: bool,
}

/// A price that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The price.
    pub price: Price,
    /// Who said so, and what was asked and bid.
    pub provenance: Provenance,
}

/// An answer that may be believed.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) source: Arc<Watched>,
    pub(super) quote: Quote,
    pub(super) price: Price,
    /// Its place among the attempts.
    attempt: usize,
}

/// A round that goes on.
pub(super) struct Asking<'a> {
    side: Side,
    doubt: &'a Doubt,
    until: Instant,
    started: Instant,
    pending: FuturesUnordered<Receiver<Asked>>,
    asked: Vec<Arc<Watched>>,
    /// The places in `asked` of those that have answered.
    answered: Vec<usize>,
    attempts: Vec<Attempt>,
    pub(super) candidates: Vec<Candidate>,
    last: Option<ExchangeError>,
    again: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(side: Side, doubt: &'a Doubt, until: Instant) -> Self {
        Self {
            side,
            doubt,
            until,
            started: Instant::now(),
            pending: FuturesUnordered::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            attempts: Vec::new(),
            candidates: Vec::new(),
            last: None,
            again: false,
        }
    }

    /// Asks a source, if it is not left alone; gives whether it does.
    pub(super) fn ask(&mut self, source: &Arc<Watched>) -> bool {
        if let Err(error) = source.permit() {
            self.fail(source, error);
            return false;
        }
        self.attempts.extend(source.late());
        self.pending.push(source.ask(self.asked.len()));
        self.asked.push(Arc::clone(source));
        true
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits for the next answer; none when all are there or time is up.
    pub(super) async fn next(&mut self) -> Option<()> {
        let next = tokio::time::timeout_at(self.until, self.pending.next()).await;
        let Asked { index, took, answer } = next.ok()??.ok()?;
        let source = Arc::clone(self.asked.get(index)?);
        let answer = answer.and_then(|quote| Ok((quote, self.recorded_price(&quote)?)));
        self.answered.push(index);
        self.attempts.push(source.attempt(took, answer.as_ref().map(|(quote, _)| *quote)));
        match answer {
            Ok((quote, price)) => {
                let attempt = self.attempts.len() - 1;
                self.candidates.push(Candidate { source, quote, price, attempt });
            }
            Err(error) => self.fail(&source, error),
        }
        Some(())
    }

    /// The price that would be recorded of a quote, if it is within bounds.
    fn recorded_price(&self, quote: &Quote) -> Result<Price, ExchangeError> {
        let price = quote
            .price(self.side)
            .ok_or_else(|| ExchangeError::BadAnswer { reason: "it has no bid".to_owned() })?;
        self.doubt.bound(price).map_err(|why| rejected(price, &why))?;
        Ok(price)
    }

    /// Whether a price is believed, given all candidates.
    pub(super) fn judge(&self, price: Price) -> Result<(), ExchangeError> {
        let now: Vec<Price> = self.candidates.iter().map(|candidate| candidate.price).collect();
        self.doubt.judge(price, &now).map_err(|why| rejected(price, &why))
    }

    /// Gives up the candidates that are not believed: their attempts failed after all.
    pub(super) fn drop_jumps(&mut self) {
        let judge = |candidate: &Candidate| self.judge(candidate.price).err();
        let errors: Vec<_> = self.candidates.iter().map(judge).collect();
        let candidates = std::mem::take(&mut self.candidates);
        for (candidate, error) in candidates.into_iter().zip(errors) {
            let Some(error) = error else {
                self.candidates.push(candidate);
                continue;
            };
            if let Some(attempt) = self.attempts.get_mut(candidate.attempt) {
                attempt.answer = Err(Failure::from(&error));
            }
            self.fail(&candidate.source, error);
        }
    }

    /// The round ends with this price.
    pub(super) fn chosen(self, chosen: Chosen) -> Round {
        Round { attempts: self.attempts, outcome: Ok(chosen), again: false }
    }

    /// What became of the last source; one that has not answered was too slow.
    pub(super) fn failure(&self) -> ExchangeError {
        let mut slow = self.asked.iter().enumerate();
        let slow = slow.find(|(index, _)| !self.answered.contains(index)).map(|(_, source)| {
            let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let error = ExchangeError::Timeout { after: Duration::from_millis(elapsed) };
            ExchangeError::Of { source_name: source.name.clone(), error: Box::new(error) }
        });
        slow.or_else(|| self.last.clone())
            .unwrap_or(ExchangeError::LeftAlone { wait: Duration::ZERO })
    }

    /// The sources disagree: that may be over soon.
    pub(super) fn disagreed(mut self, error: ExchangeError) -> Round {
        self.again = true;
        let names = self.names();
        self.failed(ExchangeError::Of { source_name: names, error: Box::new(error) })
    }

    /// The names of the candidates, in the order of the alphabet, joined by `+`.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> =
            self.candidates.iter().map(|candidate| candidate.source.name.as_str()).collect();
        names.sort_unstable();
        names.join("+")
    }

    /// The round ends without a price.
    pub(super) fn failed(self, error: ExchangeError) -> Round {
        let again = self.again || !self.pending.is_empty();
        Round { attempts: self.attempts, outcome: Err(error), again }
    }

    fn fail(&mut self, source: &Watched, error: ExchangeError) {
        self.again |= error.is_transient();
        // That one is left alone tells less than why another one failed.
        if error.is_left_alone() && self.last.is_some() {
            return;
        }
        let (source_name, error) = (source.name.clone(), Box::new(error));
        self.last = Some(ExchangeError::Of { source_name, error });
    }
}

fn rejected(price: Price, why: &Disbelief) -> ExchangeError {
    ExchangeError::Rejected { price, reason: why.to_string() }
}
