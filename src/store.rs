//! What is kept in Redis besides the queue: samples as text and as blocks, the reasons of missed
//! slots, the state of sources and processes.
//!
//! Uses the domain. [`keys`] names every key; each Lua script
//! stands beside its caller. Questions about samples are answered by the history.

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
mod presence;
mod record;
mod replace;
mod schedule;
mod server;
mod sources;
mod sums;
mod upgrade;

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};

pub use audit::Action;
pub use block::{BlockError, MAX_SAMPLES, decode, encode};
pub use changes::{Change, Changes, Counts, Position};
pub use hour::{HOUR, Hour, Row, hour_of};
pub use hours::{BlockState, StoredHour};
pub use presence::{Activity, Member, ProcessReport, Role};
pub use record::Recorded;
pub use server::ServerReport;
pub use sources::{Rejected, SourceReport};

use crate::{
    clock::Clock,
    connection::{Server, SharedConnection},
    domain::Slots,
};

/// The store: a handle that is cheap to clone, on one shared connection.
#[derive(Clone)]
pub struct Store {
    connection: SharedConnection,
    slots: Slots,
    clock: Clock,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A request to Redis failed.
    #[error("cannot {operation}: {cause}")]
    Redis {
        /// What was to be done.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: RedisError,
    },
    /// The block of an hour cannot be read, and its text has been dropped.
    #[error("the block of the hour from unix second {hour} is damaged: {cause}")]
    Damaged {
        /// The first unix second of the hour.
        hour: i64,
        /// What is wrong with the block.
        #[source]
        cause: BlockError,
    },
    /// What was to be changed went on changing.
    #[error("cannot {operation}: the hour from unix second {hour} goes on changing")]
    Contended {
        /// What was to be done.
        operation: &'static str,
        /// The first unix second of the hour.
        hour: i64,
    },
}

impl Store {
    /// A store on the given Redis, which is connected to on first use, of samples that are
    /// recorded once a slot. `clock` is the one of that Redis.
    pub fn new(server: &Server, slots: Slots, clock: Clock) -> Self {
        Self { connection: server.shared(), slots, clock }
    }
}

impl StoreError {
    /// Whether the same request may succeed later: Redis is away, busy, full, a replica, refuses this
    /// user, or has something else under our keys. The rest are faults of ours.
    pub fn is_unavailable(&self) -> bool {
        let Self::Redis { cause, .. } = self else { return matches!(self, Self::Contended { .. }) };
        match cause.kind() {
            // A script or a command of ours is wrong; unless this is said to each new client.
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                cause.detail().is_some_and(|detail| detail.starts_with("max number of clients"))
            }
            ErrorKind::Client
            | ErrorKind::InvalidClientConfig
            | ErrorKind::UnexpectedReturnType => false,
            _ => true,
        }
    }

    /// Whether Redis has no memory left: then it deletes and is read, and that is all.
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

/// Names the operation that an error of Redis ended.
fn failed(operation: &'static str) -> impl FnOnce(RedisError) -> StoreError {
    move |cause| StoreError::Redis { operation, cause }
}

/// Waits for the answer to a command.
async fn answer<T>(
    operation: &'static str,
    answer: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    answer.await.map_err(failed(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error that an answer of Redis is.
    fn error(answer: &str) -> StoreError {
        let value = redis::parse_redis_value(answer.as_bytes()).unwrap();
        let cause = value.extract_error().unwrap_err();
        StoreError::Redis { operation: "test", cause }
    }

    #[test]
    fn whatever_keeps_redis_from_serving_is_no_fault_of_ours() {
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
