//! Everything in Redis besides the queue: samples in text form and as blocks, the reasons of missed
//! slots, the reports on sources and processes.
//!
//! May use the domain. [`keys`] names every key; each Lua script is next to its caller. Queries for samples
//! are answered by the history.

mod audit;
mod block;
mod changes;
mod clock;
mod column;
mod hour;
mod hours;
pub mod keys;
mod missed;
mod once;
mod permissions;
mod processes;
mod record;
mod replace;
mod schedule;
mod server;
mod source_report;
mod sources;
mod sums;
mod upgrade;

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};

pub use audit::Action;
pub use block::{BlockError, MAX_SAMPLES, decode, encode};
pub use changes::{Change, Changes, Counts, Position};
pub use hour::{HOUR, Hour, Row, hour_of};
pub use hours::{BlockState, StoredHour};
pub use processes::{Activity, ProcessInfo, ProcessReport, Role};
pub use record::Recorded;
pub use server::ServerReport;
pub use source_report::{LastAnswer, LastFailure, SourceReport};
pub use sources::RejectedPrice;

use crate::{
    clock::Clock,
    connection::{Server, SharedConnection},
    domain::Slots,
};

/// A handle on the store. Clones are cheap and share one connection.
#[derive(Clone)]
pub struct Store {
    connection: SharedConnection,
    slots: Slots,
    clock: Clock,
}

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A request to Redis failed.
    #[error("cannot {operation}: {cause}")]
    Redis {
        /// The operation.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: RedisError,
    },
    /// The block of an hour is damaged, and its text has been dropped.
    #[error("the block of the hour from unix second {hour} is damaged: {cause}")]
    Damaged {
        /// The first unix second of the hour.
        hour: i64,
        /// What is wrong with the block.
        #[source]
        cause: BlockError,
    },
    /// The samples of an hour cannot be written as a block.
    #[error("cannot seal the hour from unix second {hour}: {cause}")]
    Encode {
        /// The first unix second of the hour.
        hour: i64,
        /// Why not.
        #[source]
        cause: BlockError,
    },
    /// The hour was changed by others during each attempt.
    #[error("cannot {operation}: the hour from unix second {hour} is being changed")]
    Contended {
        /// The operation.
        operation: &'static str,
        /// The first unix second of the hour.
        hour: i64,
    },
}

impl Store {
    /// A store on a Redis, which is connected to on first use. `clock` follows the clock of this Redis.
    pub fn new(server: &Server, slots: Slots, clock: Clock) -> Self {
        Self { connection: server.shared(), slots, clock }
    }
}

impl StoreError {
    /// Whether the same request may succeed later: Redis is unavailable, busy, full, a replica, refuses
    /// this user, or has another type of value at a key. All other errors are faults of Cotiza.
    pub fn is_unavailable(&self) -> bool {
        let Self::Redis { cause, .. } = self else { return matches!(self, Self::Contended { .. }) };
        match cause.kind() {
            // A wrong script or command. The limit of clients is the exception: it has no code of its own.
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                cause.detail().is_some_and(|detail| detail.starts_with("max number of clients"))
            }
            ErrorKind::Client
            | ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType => false,
            _ => true,
        }
    }

    /// Whether the memory of Redis is full: then only reads and deletions succeed.
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Redis { cause, .. } = self else { return false };
        let answers = cause.clone().into_server_errors();
        answers.is_some_and(|answers| answers.iter().any(|(_, error)| error.code() == "OOM"))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Adds the operation to an error of Redis.
fn failed(operation: &'static str) -> impl FnOnce(RedisError) -> StoreError {
    move |cause| StoreError::Redis { operation, cause }
}

/// Waits for the answer to a request.
async fn send<T>(
    operation: &'static str,
    request: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    request.await.map_err(failed(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error in an answer of Redis.
    fn error(answer: &str) -> StoreError {
        let value = redis::parse_redis_value(answer.as_bytes()).unwrap();
        let cause = value.extract_error().unwrap_err();
        StoreError::Redis { operation: "test", cause }
    }

    #[test]
    fn a_redis_that_cannot_serve_is_unavailable() {
        let codes = [
            "OOM",
            "MISCONF",
            "LOADING",
            "BUSY",
            "MASTERDOWN",
            "NOREPLICAS",
            "NOAUTH",
            "WRONGPASS",
            "NOPERM",
            "MOVED",
            "ASK",
            "TRYAGAIN",
            "CLUSTERDOWN",
            "CROSSSLOT",
            "READONLY",
            "UNBLOCKED",
            "WRONGTYPE",
            "EXECABORT",
            "SOMETHINGNEW",
        ];
        for code in codes {
            assert!(error(&format!("-{code} 866 127.0.0.1:1\r\n")).is_unavailable(), "{code}");
        }
        assert!(error("-ERR max number of clients reached\r\n").is_unavailable());
        assert!(error("-OOM command not allowed\r\n").is_out_of_memory());
        assert!(!error("-ERR wrong number of arguments\r\n").is_unavailable());
    }
}
