//! Where prices come from: what a source is, what can go wrong with one, and one file a source.
//!
//! May use the domain.

mod buenbit;
mod http;
mod simulated;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use buenbit::Buenbit;
pub use simulated::{Behaviour, SimulatedExchange};

use crate::domain::Price;

/// Somebody who can be asked for the price of one bitcoin in pesos.
pub trait PriceSource: std::fmt::Debug + Send + Sync {
    /// The name it is configured and logged under.
    fn name(&self) -> &'static str;

    /// Asks once for the price at which bitcoin is sold right now.
    ///
    /// # Errors
    /// If it cannot be reached, is too slow, or answers anything but a price.
    fn price(&self) -> BoxFuture<'_, Result<Price, ExchangeError>>;
}

/// Why a source gave no price.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No complete answer in time.
    #[error("{} did not answer within {}", .source_name, humantime::format_duration(*.after))]
    Timeout {
        /// Who was asked.
        source_name: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// No connection, or it broke.
    #[error("cannot reach {source_name}: {reason}")]
    Unreachable {
        /// Who was asked.
        source_name: &'static str,
        /// What happened, down to the root cause.
        reason: String,
    },
    /// An answer that is no success.
    #[error("{source_name} answered with HTTP status {status}")]
    Status {
        /// Who was asked.
        source_name: &'static str,
        /// The HTTP status code.
        status: u16,
    },
    /// A success that holds no price.
    #[error("bad answer from {source_name}: {reason}")]
    BadAnswer {
        /// Who was asked.
        source_name: &'static str,
        /// What was seen where the price should be.
        reason: String,
    },
}

impl ExchangeError {
    /// Whether asking again soon may help. A bad answer counts as such: a gateway's error page
    /// is often gone a second later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::BadAnswer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
        }
    }
}
