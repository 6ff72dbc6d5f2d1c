//! Where prices come from: what a source is, what can go wrong with one, and how one price is made
//! of several. A source that is no JSON over HTTP is a file here that implements [`PriceSource`],
//! and a line in [`Sources::new`].
//!
//! May use the domain.

mod breaker;
mod http;
mod json;
mod round;
mod simulated;
mod sources;
mod watched;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use round::{Chosen, Round};
pub use simulated::{Behaviour, SimulatedExchange};
pub use sources::{Sources, SourcesError};

use crate::domain::{Failure, Price, Quote, Reason};

/// Somebody who can be asked for the price of one bitcoin in pesos.
pub trait PriceSource: std::fmt::Debug + Send + Sync {
    /// Asks once for the prices of right now. May take for ever: the caller bounds it.
    ///
    /// # Errors
    /// If it cannot be reached or answers anything but prices of now.
    fn quote(&self) -> BoxFuture<'_, Result<Quote, ExchangeError>>;
}

/// Why a source gave no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No complete answer in time.
    #[error("no answer within {}", humantime::format_duration(*.after))]
    Timeout {
        /// How long it was given.
        after: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot be reached: {reason}")]
    Unreachable {
        /// What happened, down to the root cause.
        reason: String,
    },
    /// An answer that is no success.
    #[error("answered with HTTP status {status}{}", pause(*.retry_after))]
    Status {
        /// The HTTP status code.
        status: u16,
        /// How long it asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// A success that holds no price.
    #[error("bad answer: {reason}")]
    BadAnswer {
        /// What was seen where the price should be.
        reason: String,
    },
    /// A price that is not believed.
    #[error("price not believed: {reason}")]
    Rejected {
        /// The price.
        price: Price,
        /// Why not.
        reason: String,
    },
    /// It failed so often that it is left alone for a while, or it asked for that.
    #[error("left alone for {} more", humantime::format_duration(*.wait))]
    LeftAlone {
        /// How much longer.
        wait: Duration,
    },
    /// Fewer sources than a median needs.
    #[error("{answered} of the {quorum} sources that a median needs have answered; {last}")]
    NoQuorum {
        /// Those that did.
        answered: usize,
        /// Those that must.
        quorum: usize,
        /// What became of another one.
        last: Box<Self>,
    },
    /// What became of the source of that name.
    #[error("{source_name}: {error}")]
    Of {
        /// The name of the source.
        source_name: String,
        /// What became of it.
        error: Box<Self>,
    },
}

impl ExchangeError {
    /// No connection, or it broke.
    fn unreachable(reason: &str) -> Self {
        Self::Unreachable { reason: escaped(reason) }
    }

    /// A success that holds no price; the reason may quote what was sent.
    fn bad_answer(reason: &str) -> Self {
        Self::BadAnswer { reason: escaped(reason) }
    }

    /// Whether asking again soon may help. A bad answer counts as such: a gateway's error page
    /// is often gone a second later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => true,
        }
    }

    /// Whether nobody was asked, since all had failed before.
    pub fn is_left_alone(&self) -> bool {
        match self {
            Self::LeftAlone { .. } => true,
            Self::Of { error, .. } | Self::NoQuorum { last: error, .. } => error.is_left_alone(),
            _ => false,
        }
    }

    /// What the ledger calls it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Timeout { .. } => Reason::ExchangeTimeout,
            Self::Unreachable { .. } | Self::Status { .. } | Self::LeftAlone { .. } => {
                Reason::ExchangeError
            }
            Self::BadAnswer { .. } => Reason::BadAnswer,
            Self::Rejected { .. } => Reason::PriceRejected,
            Self::NoQuorum { last: error, .. } | Self::Of { error, .. } => error.reason(),
        }
    }
}

impl From<&ExchangeError> for Failure {
    fn from(error: &ExchangeError) -> Self {
        let rejected = match error {
            ExchangeError::Rejected { price, .. } => Some(*price),
            _ => None,
        };
        // A source may put much into what it says.
        let text = error.to_string().chars().take(300).collect();
        Self { reason: error.reason(), text, rejected }
    }
}

/// A text of others in a form that is safe in logs and terminals: line breaks, escape sequences, marks
/// that turn the direction of writing, and whatever else cannot be seen are written as in Rust.
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

fn pause(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| {
        format!(" and asks for a pause of {}", humantime::format_duration(pause))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_in_an_answer_is_escaped() {
        for (sent, shown) in [
            (
                r#"{"a": 'é', "b": "\n"} 84436700.0 ñandú 価格"#,
                r#"{"a": 'é', "b": "\n"} 84436700.0 ñandú 価格"#,
            ),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("one\r\ntwo\t\0", r"one\r\ntwo\t\0"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
            ("a\u{2028}b\u{feff}", r"a\u{2028}b\u{feff}"),
        ] {
            let failure = Failure::from(&ExchangeError::bad_answer(sent));
            assert_eq!(failure.text, format!("bad answer: {shown}"));
            let failure = Failure::from(&ExchangeError::unreachable(sent));
            assert_eq!(failure.text, format!("cannot be reached: {shown}"));
        }
    }
}
