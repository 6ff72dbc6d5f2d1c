//! What is kept in Redis besides the queue: the samples, and who has been seen alive.
//!
//! May use the domain. [`keys`] names every key; the Lua scripts stand beside their callers.

mod aggregate;
pub mod keys;
mod known;
mod ledger;
mod node;
mod page;
mod plan;
mod presence;
mod provenance;
mod reading;
mod rebuild;
mod rollups;
mod samples;
mod segments;
mod slots;
mod sources;
mod span;
mod trim;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64};

use redis::{Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};

pub use aggregate::Aggregate;
pub use presence::Role;
pub use samples::{Pieces, Recorded};
pub use sources::{Rejected, SourceReport};

use self::{known::Known, provenance::Remembered};
use crate::{
    connection::{self, SharedConnection},
    domain::Slots,
};

/// The store: a handle that is cheap to clone, on one shared connection.
#[derive(Clone)]
pub struct Store {
    connection: SharedConnection,
    slots: Slots,
    /// Held while a clone of this store is rebuilding rollups in the background.
    rebuilding: Arc<tokio::sync::Mutex<()>>,
    /// What was last known of the rollups.
    known: Arc<Mutex<Known>>,
    /// Where prices came from that were asked for lately.
    provenances: Arc<Mutex<Remembered>>,
    /// How many samples there were when they were last counted for a page.
    samples: Arc<AtomicU64>,
}

/// A request to Redis that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}: {cause}")]
pub struct StoreError {
    operation: &'static str,
    cause: RedisError,
}

impl Store {
    /// A store on the given Redis, which is connected to on first use, of samples that are
    /// recorded once a slot.
    ///
    /// # Errors
    /// If the URL of the client cannot be used.
    pub fn new(client: &Client, slots: Slots) -> Result<Self, StoreError> {
        let connection = connection::shared(client).map_err(failed("open a connection"))?;
        Ok(Self {
            connection,
            slots,
            rebuilding: Arc::default(),
            known: Arc::default(),
            provenances: Arc::default(),
            samples: Arc::default(),
        })
    }

    /// This store on a connection of its own, for another runtime.
    ///
    /// # Errors
    /// If the URL of the client cannot be used.
    pub fn with_own_connection(&self, client: &Client) -> Result<Self, StoreError> {
        let connection = connection::shared(client).map_err(failed("open a connection"))?;
        Ok(Self { connection, ..self.clone() })
    }

    /// What is known of the rollups. Not to be held while anything is waited for.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks Redis for a sign of life.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answer: RedisResult<()> =
            redis::cmd("PING").query_async(&mut self.connection.clone()).await;
        answer.map_err(failed("ping Redis"))
    }
}

impl StoreError {
    /// Whether Redis is away or not ready, so that the same request may succeed later.
    pub fn is_unavailable(&self) -> bool {
        let busy = matches!(
            self.cause.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            )
        );
        let lost = self.cause.is_io_error()
            || self.cause.is_timeout()
            || self.cause.is_connection_dropped()
            || self.cause.kind() == ErrorKind::AuthenticationFailed;
        // No memory, no disk, a wrong password: its operator is needed, but nothing is wrong here.
        let unfit = ["OOM", "MISCONF", "NOAUTH", "WRONGPASS"];
        busy || lost || self.cause.code().is_some_and(|code| unfit.contains(&code))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Names the operation that an error of Redis ended.
fn failed(operation: &'static str) -> impl FnOnce(RedisError) -> StoreError {
    move |cause| StoreError { operation, cause }
}
