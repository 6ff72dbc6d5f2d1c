//! Connections to Redis that fail soon instead of hanging. Depends on nothing of the crate.

use std::{
    error::Error,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};

/// The longest that opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that Redis may take to answer. redis-rs's own 500 ms is too short for a server
/// that is loading or saving.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is shared by clones and opened again when it breaks.
///
/// A connection that broke unnoticed (Redis was restarted while nothing was asked) shows it only
/// when it is used; then the request is made once more, on a new one. So what goes through here
/// may be done twice, and must come to the same.
#[derive(Clone)]
pub struct SharedConnection(ConnectionManager);

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            match self.0.send_packed_command(command).await {
                Err(error) if broke(&error) => self.0.send_packed_command(command).await,
                answer => answer,
            }
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            match self.0.send_packed_commands(commands, offset, count).await {
                Err(error) if broke(&error) => {
                    self.0.send_packed_commands(commands, offset, count).await
                }
                answers => answers,
            }
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// How often a connection of this process was found broken, and another one was made.
static RECONNECTS: AtomicU64 = AtomicU64::new(0);

/// How often a shared connection of this process was found broken.
pub fn reconnects() -> u64 {
    RECONNECTS.load(Ordering::Relaxed)
}

/// Whether the connection was found broken. A time-out is not that: Redis may be at it.
fn broke(error: &RedisError) -> bool {
    let is_broken = error.is_connection_dropped() && !error.is_timeout();
    if is_broken {
        RECONNECTS.fetch_add(1, Ordering::Relaxed);
    }
    is_broken
}

/// Whether an error, or one that caused it, says that Redis cannot be used at all: it is not reached, does
/// not answer, does not accept the password, or is loading its data. The follower of the clock reports
/// that once for the whole process, so other log lines about it are for debugging.
pub fn is_away(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let is_away = match error.downcast_ref::<RedisError>() {
            Some(error) => matches!(
                error.kind(),
                ErrorKind::Io
                    | ErrorKind::AuthenticationFailed
                    | ErrorKind::Server(ServerErrorKind::BusyLoading)
            ),
            None => error.is::<io::Error>(),
        };
        if is_away {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A [`SharedConnection`]. It is opened on first use, so a process starts while Redis is away. Must
/// be called within a tokio runtime. With two retries a command fails within about 40 ms where
/// nothing listens; the crate's default of six takes nine seconds.
///
/// # Errors
/// Only if the URL cannot be used.
pub fn shared(client: &Client) -> RedisResult<SharedConnection> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(2)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100));
    ConnectionManager::new_lazy_with_config(client.clone(), config).map(SharedConnection)
}

/// A connection that stays broken once it broke, for whoever rebuilds all that hangs on it.
///
/// # Errors
/// If Redis cannot be reached in time.
pub async fn single(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

impl std::fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnection").finish_non_exhaustive()
    }
}
