//! Connections to Redis that fail soon instead of hanging. Depends on nothing of the crate.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};

/// The longest that opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest that Redis may take to answer. redis-rs's own 500 ms is too short for a server
/// that is loading or saving.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is shared by clones and opened again when it breaks. It is opened on first
/// use, so a process starts while Redis is away. Must be called within a tokio runtime. With two retries a command fails within about
/// 40 ms where nothing listens; the crate's default of six takes nine seconds.
///
/// # Errors
/// Only if the URL cannot be used.
pub fn shared(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_number_of_retries(2)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
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
