//! What is known of the Redis server itself.

use std::time::{Duration, Instant};

use super::{Store, StoreError, answer};

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// Its version; `None` if it does not tell.
    pub version: Option<String>,
    /// The bytes of memory that its data takes; `None` if it does not tell.
    pub memory: Option<u64>,
    /// The limit of that memory in bytes; `None` if there is none.
    pub max_memory: Option<u64>,
    /// How long it took to answer.
    pub latency: Duration,
}

impl Store {
    /// How the server is.
    ///
    /// # Errors
    /// If it does not answer a PING.
    pub async fn server(&self) -> Result<ServerReport, StoreError> {
        let connection = &mut self.connection.clone();
        let asked = Instant::now();
        answer("ping Redis", redis::cmd("PING").query_async::<String>(connection)).await?;
        let latency = asked.elapsed();
        let info = redis::cmd("INFO");
        let info = info.query_async::<String>(connection);
        // A user of Redis may not be permitted to ask.
        let info = info.await.unwrap_or_default();
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
        let version = field("valkey_version").or_else(|| field("redis_version"));
        Ok(ServerReport {
            version: version.map(str::to_owned),
            memory: number("used_memory"),
            max_memory: number("maxmemory").filter(|most| *most > 0),
            latency,
        })
    }
}
