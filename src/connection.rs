//! Connections to Redis: a single server, the primary of a service that Sentinels monitor, or a Redis
//! Cluster, over TCP, TLS or a Unix socket. Depends on no other module.
//!
//! [`Server`] describes a Redis and opens connections to it. [`Connection`] is one connection; once it is
//! unfit it is no longer used. [`SharedConnection`] replaces unfit connections. `health` decides when a
//! connection is unfit.

mod address;
mod cluster;
mod error;
mod health;
mod node;
mod options;
mod sentinel;
mod server;
mod shared;
mod tls;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use redis::{
    Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::cluster::Cluster;
pub use self::{
    address::{AddressError, AddressProblem, redacted},
    cluster::QUEUE_TAG,
    error::{ConnectError, is_outage},
    health::reconnects,
    options::{Options, SentinelTls},
    server::{Server, info_field},
    shared::SharedConnection,
};

/// A connection, shared by its clones. An unfit connection never becomes fit again.
#[derive(Clone)]
pub struct Connection {
    link: Link,
    opened: Instant,
    unfit: CancellationToken,
    /// Stops the task that monitors the connection when the last clone is dropped.
    #[allow(dead_code, reason = "only its drop has an effect")]
    monitor: Arc<DropGuard>,
}

/// The underlying connection of redis-rs.
#[derive(Clone)]
enum Link {
    Node(MultiplexedConnection),
    Cluster(Cluster),
}

impl Connection {
    /// Creates a connection and starts to monitor it.
    fn new(link: Link, address: String, server: Server) -> Self {
        let unfit = CancellationToken::new();
        tokio::spawn(health::monitor(link.clone(), address, server, unfit.clone()));
        let monitor = Arc::new(unfit.clone().drop_guard());
        Self { link, opened: Instant::now(), unfit, monitor }
    }

    /// Returns keys that do not exist, one on each server that stores keys of Cotiza.
    pub fn probes(&self) -> &'static [&'static str] {
        self.link.probes()
    }

    /// Returns whether the connection is to a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.link, Link::Cluster(_))
    }

    /// Returns the time since the connection was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns whether the connection may be used; `false` once it is known to be unfit.
    pub fn is_fit(&self) -> bool {
        !self.unfit.is_cancelled()
    }

    /// Waits until the connection is unfit.
    pub async fn unfit(&self) {
        self.unfit.cancelled().await;
    }

    /// Sends a command without a key, such as INFO, to the primary that stores `key`.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn send_to(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        let response = match &mut self.link {
            Link::Node(node) => node.send_packed_command(&command).await,
            Link::Cluster(cluster) => cluster.send_to(key, command).await,
        };
        self.inspect(response.as_ref());
        response.and_then(Value::extract_error)
    }

    /// Marks the connection as unfit if the response says so.
    fn inspect(&self, response: Result<&Value, &redis::RedisError>) {
        if health::makes_unfit(response) {
            health::mark_unfit(&self.unfit, response.err());
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let response = self.link.req_packed_command(command).await;
            self.inspect(response.as_ref());
            response
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
            let responses = self.link.req_packed_commands(commands, offset, count).await;
            match &responses {
                Ok(values) => values.iter().for_each(|value| self.inspect(Ok(value))),
                Err(error) => self.inspect(Err(error)),
            }
            responses
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.link.get_db()
    }
}

impl Link {
    /// Returns keys that do not exist, one on each server that stores keys of Cotiza.
    fn probes(&self) -> &'static [&'static str] {
        match self {
            Self::Node(_) => &cluster::PROBES[..1],
            Self::Cluster(_) => &cluster::PROBES,
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(node) => node.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(node) => node.req_packed_commands(commands, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(node) => node.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
