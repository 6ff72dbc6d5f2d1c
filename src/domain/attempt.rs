//! What came of asking a source, and whether it is asked at all.

use std::time::Duration;

use super::{Price, Quote, Reason};

/// One request to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The name of the source.
    pub source: String,
    /// When it ended, in unix seconds.
    pub at: i64,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub answer: Result<Quote, Failure>,
}

/// Why a request gave no price that could be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the ledger would call it.
    pub reason: Reason,
    /// What happened, for people.
    pub text: String,
    /// The price that was given, but not believed.
    pub rejected: Option<Price>,
}

/// The circuit breaker of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    /// The name of the source.
    pub source: String,
    /// Whether it is asked.
    pub state: CircuitState,
}

/// Whether a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It is.
    Closed,
    /// It failed too often: one request shall tell whether it is well again.
    HalfOpen,
    /// It failed too often, or asked for a pause: not before this unix second.
    Open(i64),
}
