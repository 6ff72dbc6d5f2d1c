//! The results of requests to sources.

use std::time::Duration;

use super::{MissedReason, Price, Quote};

/// One request to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The name of the source.
    pub source: String,
    /// When the request ended, in unix seconds.
    pub at: i64,
    /// How long it took.
    pub took: Duration,
    /// The quote, or why there is none.
    pub answer: Result<Quote, Failure>,
}

/// Why a request returned no price that could be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason with which the slot would be recorded as missed.
    pub reason: MissedReason,
    /// What happened, for people.
    pub text: String,
    /// The price that the source reported, if it was rejected.
    pub rejected: Option<Price>,
}
