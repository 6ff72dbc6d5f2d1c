//! A Redis and how to reach it. Depends on nothing of the crate.

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisError, RedisResult, TlsCertificates,
    aio::PubSub,
};
use tokio::time::timeout;

use super::{
    AddressError, Connection, Link, Options, SharedConnection,
    address::{Address, moved, shown},
    cluster::Cluster,
    fault::{self, Stage},
    health::ANSWER_TIMEOUT,
    node,
    options::password,
    sentinel::Sentinels,
    tls,
};

/// The longest that opening a connection may take, TLS and log-in included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that opening connections to the nodes of a cluster may take. One that hangs takes half of it.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(4);
/// The next address is tried when those before have given no answer for so long.
const NEXT_AFTER: Duration = Duration::from_millis(300);

/// A field of an answer to INFO.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A Redis. Clones are the same one.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    options: Options,
    target: Target,
    is_tls: bool,
    certificates: Option<TlsCertificates>,
    /// The nodes of the cluster, if it is one and has been connected to.
    nodes: Mutex<Vec<(String, u16)>>,
    /// Whether a connection has been opened before.
    has_connected: AtomicBool,
}

/// Which nodes are connected to.
enum Target {
    /// Those of the URL.
    Nodes(Vec<ConnectionInfo>),
    /// The primary that the Sentinels name; its host and port are replaced.
    Primary(Sentinels, Box<ConnectionInfo>),
}

impl Server {
    /// A Redis, which is not connected to yet.
    ///
    /// # Errors
    /// If the URL or a file cannot be used.
    pub fn new(options: Options) -> Result<Self, AddressError> {
        let address = Address::parse(&options.url)?;
        let certificates = tls::certificates(&options)?;
        let is_tls = address.is_tls();
        if certificates.is_some() && !is_tls {
            let reason =
                "it has no TLS, for which redis.ca_file and redis.cert_file are; give rediss://...";
            let value = shown(&options.url);
            return Err(AddressError { key: "redis.url", value, reason: reason.to_owned() });
        }
        password(&options.password_file, "redis.password_file")?;
        let target = match address {
            Address::Nodes(nodes) => Target::Nodes(nodes),
            Address::Service { sentinels, service, primary } => {
                let certificates = certificates.as_ref();
                let sentinels = Sentinels::of(service, &sentinels, is_tls, &options, certificates)?;
                Target::Primary(sentinels, primary)
            }
        };
        Ok(Self(Arc::new(Inner {
            options,
            target,
            is_tls,
            certificates,
            nodes: Mutex::default(),
            has_connected: AtomicBool::default(),
        })))
    }

    /// A Redis by its URL alone.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub fn at(url: &str) -> Result<Self, AddressError> {
        Self::new(Options { url: url.to_owned(), ..Options::default() })
    }

    /// Its URL without the password.
    pub fn shown(&self) -> String {
        shown(&self.0.options.url)
    }

    /// Whether connections to it use TLS.
    pub fn is_tls(&self) -> bool {
        self.0.is_tls
    }

    /// What probably helps against an error of a connection to it; `None` if that is not known.
    pub fn advice(&self, error: &(dyn Error + 'static)) -> Option<&'static str> {
        let stage = match (self.0.has_connected.load(Ordering::Relaxed), self.is_tls()) {
            (true, _) => Stage::Later,
            (false, true) => Stage::FirstByTls,
            (false, false) => Stage::First,
        };
        fault::advice(error, stage)
    }

    /// A connection that is opened on first use, so a process starts while Redis is away. Must be used within
    /// a tokio runtime.
    pub fn shared(&self) -> SharedConnection {
        SharedConnection::new(self.clone())
    }

    /// Opens a connection to the primary, or to the cluster. Names of hosts are resolved and the password is
    /// read each time.
    ///
    /// # Errors
    /// If it cannot be reached in time, refuses the user, or is a replica.
    pub async fn connect(&self) -> RedisResult<Connection> {
        let nodes = self.candidates().await?;
        let connection = first(nodes, |node| self.connect_to(node).boxed()).await?;
        self.0.has_connected.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    /// Subscribes to a channel, on a connection of its own.
    ///
    /// # Errors
    /// If no node can be reached in time.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let nodes = self.candidates().await?;
        first(nodes, |node| self.subscribe_at(node, channel).boxed()).await
    }

    async fn subscribe_at(&self, node: ConnectionInfo, channel: &str) -> RedisResult<PubSub> {
        let subscribed = async {
            let mut messages = self.client(node)?.get_async_pubsub().await?;
            messages.subscribe(channel).await?;
            Ok(messages)
        };
        timeout(CONNECT_TIMEOUT, subscribed).await.map_err(io::Error::from)?
    }

    /// Whether the Sentinels name another primary than the one at the address.
    pub(super) async fn has_moved(&self, address: &str) -> bool {
        let Target::Primary(sentinels, _) = &self.0.target else { return false };
        let primary = sentinels.primary().await;
        primary.is_ok_and(|(host, port)| format!("{host}:{port}") != address)
    }

    /// The nodes to try, in this order: the primary that the Sentinels name; else those of the URL, and those
    /// that a cluster had when it was connected to, should the ones of the URL have left it.
    async fn candidates(&self) -> RedisResult<Vec<ConnectionInfo>> {
        match &self.0.target {
            Target::Primary(sentinels, primary) => {
                let (host, port) = sentinels.primary().await?;
                Ok(vec![moved(primary, &host, port)])
            }
            Target::Nodes(nodes) => {
                let known = self.0.nodes.lock().clone();
                let known = nodes
                    .first()
                    .into_iter()
                    .flat_map(|one| known.iter().map(|(host, port)| moved(one, host, *port)));
                Ok(nodes.iter().cloned().chain(known).collect())
            }
        }
    }

    async fn connect_to(&self, node: ConnectionInfo) -> RedisResult<Connection> {
        let client = self.client(node)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let mut link = client.get_multiplexed_async_connection_with_config(&config).await?;
        let info = match redis::cmd("INFO").query_async::<String>(&mut link).await {
            // Without the permission to ask, the server counts as a primary.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            info => info?,
        };
        let address = client.get_connection_info().addr().to_string();
        let mode = field(&info, "redis_mode").or_else(|| field(&info, "server_mode"));
        if mode == Some("sentinel") {
            let reason = format!("{address} is a Sentinel: give redis+sentinel://...");
            return Err(io::Error::other(reason).into());
        }
        if field(&info, "cluster_enabled") == Some("1") {
            let link = self.connect_to_cluster(client.get_connection_info().clone()).boxed();
            let link = timeout(CLUSTER_TIMEOUT, link).await.map_err(io::Error::from)??;
            return Ok(Connection::new(Link::Cluster(link), address, self.clone()));
        }
        if field(&info, "role") == Some("slave") {
            let reason = format!("{address} is a replica, which records nothing");
            return Err(io::Error::other(reason).into());
        }
        Ok(Connection::new(Link::Node(link), address, self.clone()))
    }

    async fn connect_to_cluster(&self, node: ConnectionInfo) -> RedisResult<Cluster> {
        let mut cluster = Cluster::connect(node, self.0.certificates.as_ref()).await?;
        *self.0.nodes.lock() = cluster.nodes().await?;
        Ok(cluster)
    }

    /// A client of one node.
    fn client(&self, node: ConnectionInfo) -> RedisResult<Client> {
        // Servers before 7.2 have no CLIENT SETINFO, and a rule for users that names it is wrong there.
        let mut settings = node.redis_settings().clone().set_skip_set_lib_name();
        if settings.password().is_none()
            && let Some(password) = password(&self.0.options.password_file, "redis.password_file")
                .map_err(|error| RedisError::from(io::Error::other(error)))?
        {
            settings = settings.set_password(password);
        }
        node::client(node.set_redis_settings(settings), self.0.certificates.as_ref())
    }
}

/// The first success of attempts at nodes. The next one is begun when those before have failed, or have given
/// no answer for [`NEXT_AFTER`].
async fn first<'a, T>(
    nodes: Vec<ConnectionInfo>,
    attempt: impl Fn(ConnectionInfo) -> BoxFuture<'a, RedisResult<T>>,
) -> RedisResult<T> {
    let mut nodes = nodes.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = RedisError::from(io::Error::other("the URL of Redis names no host"));
    loop {
        attempts.extend(nodes.next().map(&attempt));
        let wait = if nodes.len() > 0 { NEXT_AFTER } else { Duration::MAX };
        match timeout(wait, attempts.next()).await {
            Ok(Some(Ok(success))) => return Ok(success),
            Ok(Some(Err(error))) => failed = error,
            Ok(None) => return Err(failed),
            Err(_) => {}
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.shown()).finish()
    }
}
