//! Connections to a Redis of any kind: one server, the primary of a service that Sentinels watch, or a
//! Redis Cluster; by TCP, TLS or a Unix socket. Depends on nothing of the crate.
//!
//! [`Server`] is a Redis and how to reach it, [`Connection`] one connection, which is not used any more once
//! it is unfit, and [`SharedConnection`] opens another one then. `health` decides what makes one unfit.

mod address;
mod cluster;
mod fault;
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
    address::{AddressError, shown},
    cluster::QUEUE_TAG,
    fault::is_away,
    health::reconnects,
    options::{Options, SentinelTls},
    server::{Server, field},
    shared::SharedConnection,
};

/// One connection. Clones share it. Once it is unfit it stays so.
#[derive(Clone)]
pub struct Connection {
    link: Link,
    opened: Instant,
    unfit: CancellationToken,
    /// Ends the task that watches it, with the last clone.
    #[allow(dead_code, reason = "it is dropped, nothing else")]
    watch: Arc<DropGuard>,
}

/// What a connection is made of.
#[derive(Clone)]
enum Link {
    Node(MultiplexedConnection),
    Cluster(Cluster),
}

impl Connection {
    /// A connection that is watched from now on.
    fn new(link: Link, address: String, server: Server) -> Self {
        let unfit = CancellationToken::new();
        tokio::spawn(health::watch(link.clone(), address, server, unfit.clone()));
        let watch = Arc::new(unfit.clone().drop_guard());
        Self { link, opened: Instant::now(), unfit, watch }
    }

    /// Keys that do not exist, one on each server that has keys of Cotiza.
    pub fn probes(&self) -> &'static [&'static str] {
        self.link.probes()
    }

    /// Whether this is a Redis Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.link, Link::Cluster(_))
    }

    /// How long ago it was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether it can be used as far as is known.
    pub fn is_fit(&self) -> bool {
        !self.unfit.is_cancelled()
    }

    /// Waits until it is unfit.
    pub async fn unfit(&self) {
        self.unfit.cancelled().await;
    }

    /// Sends a command that has no key, such as INFO, to the primary that has `key`.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn send_to(&mut self, key: &str, command: Cmd) -> RedisResult<Value> {
        let answer = match &mut self.link {
            Link::Node(node) => node.send_packed_command(&command).await,
            Link::Cluster(cluster) => cluster.send_to(key, command).await,
        };
        self.judge(answer.as_ref());
        answer.and_then(Value::extract_error)
    }

    /// Takes the connection out of use if an answer says that it is unfit.
    fn judge(&self, answer: Result<&Value, &redis::RedisError>) {
        if health::makes_unfit(answer) {
            health::give_up(&self.unfit, answer.err());
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let answer = self.link.req_packed_command(command).await;
            self.judge(answer.as_ref());
            answer
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
            let answers = self.link.req_packed_commands(commands, offset, count).await;
            match &answers {
                Ok(values) => values.iter().for_each(|value| self.judge(Ok(value))),
                Err(error) => self.judge(Err(error)),
            }
            answers
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.link.get_db()
    }
}

impl Link {
    /// Keys that do not exist, one on each server that has keys of ours.
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
