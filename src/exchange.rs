//! Where prices come from: the sources, their failures, and how one price is selected from several.
//! A source that is not JSON over HTTP is a new file here that implements [`PriceSource`], and a line
//! in [`Sources::new`].
//!
//! May use the domain.

mod breaker;
mod error;
mod http;
mod json;
mod monitored;
mod round;
mod simulated;
mod sources;

use futures_util::future::BoxFuture;

pub use error::{AnswerError, ExchangeError, escaped};
pub use round::{Round, Selected};
pub use simulated::{Behaviour, SimulatedExchange};
pub use sources::{Sources, SourcesError};

use crate::domain::Quote;

/// A source of the price of one bitcoin in Argentine pesos.
pub trait PriceSource: std::fmt::Debug + Send + Sync {
    /// Requests the current quote once. May wait indefinitely: the caller sets a time limit.
    ///
    /// # Errors
    /// Returns an error if the source cannot be reached, or does not answer with a current quote.
    fn quote(&self) -> BoxFuture<'_, Result<Quote, ExchangeError>>;
}
