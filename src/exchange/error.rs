//! Why a source returned no price.

use std::{error::Error, sync::Arc, time::Duration};

use crate::{
    domain::{Failure, MissedReason, Price, PriceError, PriceRejection},
    json_locator::{CheckError, JsonLocator},
};

/// Why a source returned no price.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// There was no complete answer in time.
    #[error("no answer within {}", humantime::format_duration(*.after))]
    Timeout {
        /// The time limit.
        after: Duration,
    },
    /// The connection could not be opened, or it broke.
    #[error("cannot be reached: {}", escaped(&root_cause(.0.as_ref())))]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// The HTTP status of the answer is not a success.
    #[error("answered with HTTP status {status}{}", pause(*.retry_after))]
    Status {
        /// The HTTP status code.
        status: u16,
        /// The pause that the source asks for.
        retry_after: Option<Duration>,
    },
    /// The answer has no price.
    #[error("bad answer: {}", escaped(&.0.to_string()))]
    BadAnswer(#[from] AnswerError),
    /// The price is implausible.
    #[error("price rejected: {reason}")]
    Rejected {
        /// The price.
        price: Price,
        /// Why it was rejected.
        #[source]
        reason: PriceRejection,
    },
    /// No request was sent: the source has failed repeatedly, or has asked for a pause.
    #[error("its circuit is open for {} more", humantime::format_duration(*.wait))]
    CircuitOpen {
        /// How much longer.
        wait: Duration,
    },
    /// Fewer sources than a median needs have answered.
    #[error("{answered} of the {quorum} sources that a median needs have answered; {last}")]
    NoQuorum {
        /// The number of sources that have answered.
        answered: usize,
        /// The number of sources that must answer.
        quorum: usize,
        /// The error of another source.
        #[source]
        last: Box<Self>,
    },
    /// The error of one source.
    #[error("{name}: {error}")]
    Source {
        /// The name of the source.
        name: String,
        /// Its error.
        #[source]
        error: Box<Self>,
    },
}

/// Why an answer has no price.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The connection broke before the end of the answer.
    #[error("it broke off: {}", root_cause(.0.as_ref()))]
    Incomplete(#[source] Arc<dyn Error + Send + Sync>),
    /// It is longer than any ticker.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// It is not JSON.
    #[error("no JSON ({error}): {beginning:?}")]
    NotJson {
        /// What is wrong.
        #[source]
        error: Arc<serde_json::Error>,
        /// Its first characters.
        beginning: String,
    },
    /// It does not fulfil the configured `check`.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// It has no value, or several, at a configured place.
    #[error("nothing at {locator} in {beginning}")]
    Missing {
        /// The place.
        locator: JsonLocator,
        /// The first characters of the answer.
        beginning: String,
    },
    /// The value at a place is of another kind.
    #[error("{locator} is {found}, not a {expected}")]
    WrongKind {
        /// The place.
        locator: JsonLocator,
        /// The first characters of the value.
        found: String,
        /// `price` or `time`.
        expected: &'static str,
    },
    /// The text at a place is not a price.
    #[error("{locator}: {error}")]
    Price {
        /// The place.
        locator: JsonLocator,
        /// What is wrong with it.
        #[source]
        error: PriceError,
    },
    /// The ask must not be lower than the bid.
    #[error("the ask, {ask}, is below the bid, {bid}")]
    AskBelowBid {
        /// The ask.
        ask: Price,
        /// The bid.
        bid: Price,
    },
    /// The bid is to be recorded, and the answer has none.
    #[error("it has no bid")]
    NoBid,
}

impl ExchangeError {
    /// Whether another request soon may succeed. A bad answer counts as such: an error page of a gateway
    /// is often gone a second later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => true,
        }
    }

    /// Whether no request was sent, since the circuit is open.
    pub fn is_circuit_open(&self) -> bool {
        match self {
            Self::CircuitOpen { .. } => true,
            Self::Source { error, .. } | Self::NoQuorum { last: error, .. } => {
                error.is_circuit_open()
            }
            _ => false,
        }
    }

    /// The reason with which the slot is recorded as missed.
    pub fn reason(&self) -> MissedReason {
        match self {
            Self::Timeout { .. } => MissedReason::ExchangeTimeout,
            Self::Unreachable(_) | Self::Status { .. } | Self::CircuitOpen { .. } => {
                MissedReason::ExchangeError
            }
            Self::BadAnswer(_) => MissedReason::BadAnswer,
            Self::Rejected { .. } => MissedReason::PriceRejected,
            Self::NoQuorum { last: error, .. } | Self::Source { error, .. } => error.reason(),
        }
    }
}

impl From<&ExchangeError> for Failure {
    fn from(error: &ExchangeError) -> Self {
        let rejected = match error {
            ExchangeError::Rejected { price, .. } => Some(*price),
            _ => None,
        };
        // The text may quote a long answer.
        let text = error.to_string().chars().take(300).collect();
        Self { reason: error.reason(), text, rejected }
    }
}

/// A text from outside in a form that is safe in logs and terminals: line breaks, escape sequences,
/// marks that change the direction of writing, and other invisible characters are escaped as in Rust.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => safe.push(character),
            _ => safe.extend(character.escape_debug()),
        }
    }
    safe
}

/// The innermost cause: the outer messages of reqwest say only what failed, not why.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn pause(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(" and asks for a pause of {}", humantime::format_duration(pause))
    })
}

#[cfg(test)]
mod tests;
