//! The description of a Redis, and the opening of connections to it. Depends on no other module.

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
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError, RedisResult,
    TlsCertificates, aio::PubSub,
};
use tokio::{net::lookup_host, time::timeout};

use super::{
    AddressError, AddressProblem, Connection, Link, Options, SharedConnection,
    address::{Address, redacted, with_address},
    cluster::Cluster,
    error::{self, ConnectError, Stage},
    health::RESPONSE_TIMEOUT,
    node,
    options::password,
    sentinel::Sentinels,
    tls,
};

/// The time limit for opening a connection, including TLS and authentication.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit for opening connections to the nodes of a cluster. One node that hangs takes half of it.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(4);
/// The delay after which the next address is tried if the previous ones have not responded.
const ATTEMPT_DELAY: Duration = Duration::from_millis(300);

/// Returns the value of a field in a response to INFO.
pub fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A Redis: one server, the primary of a service, or a cluster. Clones share their state.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    options: Options,
    target: Target,
    is_tls: bool,
    certificates: Option<TlsCertificates>,
    /// The nodes of the cluster at the last connection; empty without one and for other kinds of Redis.
    nodes: Mutex<Vec<(String, u16)>>,
    /// Whether a connection was ever opened.
    has_connected: AtomicBool,
}

/// The nodes to connect to.
enum Target {
    /// The nodes of the URL.
    Nodes(Vec<ConnectionInfo>),
    /// The primary that the Sentinels report; the host and port in its settings are replaced.
    Primary(Sentinels, Box<ConnectionInfo>),
}

impl Server {
    /// Creates a server from options without connecting to it.
    ///
    /// # Errors
    /// Returns an error if the URL or a file cannot be used.
    pub fn new(options: Options) -> Result<Self, AddressError> {
        let address = Address::parse(&options.url)?;
        let certificates = tls::certificates(&options)?;
        let is_tls = address.is_tls();
        if certificates.is_some() && !is_tls {
            let (value, problem) = (redacted(&options.url), AddressProblem::NoTls);
            return Err(AddressError { key: "redis.url", value, problem });
        }
        password(&options.password_file, "redis.password_file")?;
        let target = match address {
            Address::Nodes(nodes) => Target::Nodes(nodes),
            Address::Service { sentinels, service, primary } => {
                let certificates = certificates.as_ref();
                let sentinels =
                    Sentinels::from_options(service, &sentinels, is_tls, &options, certificates)?;
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

    /// Creates a server from a URL, with default options.
    ///
    /// # Errors
    /// Returns an error if the URL cannot be used.
    pub fn from_url(url: &str) -> Result<Self, AddressError> {
        Self::new(Options { url: url.to_owned(), ..Options::default() })
    }

    /// Returns the URL without the password.
    pub fn redacted_url(&self) -> String {
        redacted(&self.0.options.url)
    }

    /// Returns whether connections use TLS.
    pub fn is_tls(&self) -> bool {
        self.0.is_tls
    }

    /// Returns advice on an error of a connection; `None` if the cause is not known.
    pub fn advice(&self, error: &(dyn Error + 'static)) -> Option<&'static str> {
        let stage = match (self.0.has_connected.load(Ordering::Relaxed), self.is_tls()) {
            (true, _) => Stage::Later,
            (false, true) => Stage::FirstByTls,
            (false, false) => Stage::First,
        };
        error::advice(error, stage)
    }

    /// Returns a connection that is opened on first use, so that a process can start during an outage of
    /// Redis. It must be used within a tokio runtime.
    pub fn shared(&self) -> SharedConnection {
        SharedConnection::new(self.clone())
    }

    /// Opens a connection to the primary or to the cluster. Each call resolves the host names and reads the
    /// password file.
    ///
    /// # Errors
    /// Returns an error if Redis cannot be reached in time, rejects the user, or is a replica.
    pub async fn connect(&self) -> RedisResult<Connection> {
        let nodes = self.candidates().await?;
        let connection = first_success(nodes, |node| self.connect_to(node).boxed()).await?;
        self.0.has_connected.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    /// Subscribes to a channel on a separate connection.
    ///
    /// # Errors
    /// Returns an error if no node can be reached in time.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<PubSub> {
        let nodes = self.candidates().await?;
        first_success(nodes, |node| self.subscribe_at(node, channel).boxed()).await
    }

    async fn subscribe_at(&self, node: ConnectionInfo, channel: &str) -> RedisResult<PubSub> {
        let subscribed = async {
            let mut messages = self.client(node)?.get_async_pubsub().await?;
            messages.subscribe(channel).await?;
            Ok(messages)
        };
        timeout(CONNECT_TIMEOUT, subscribed).await.map_err(io::Error::from)?
    }

    /// Returns whether the Sentinels report a primary at another address.
    pub(super) async fn has_moved(&self, address: &str) -> bool {
        let Target::Primary(sentinels, _) = &self.0.target else { return false };
        let primary = sentinels.primary().await;
        primary.is_ok_and(|(host, port)| format!("{host}:{port}") != address)
    }

    /// Returns the nodes to try, in this order. With Sentinels it is the primary that they report. Otherwise
    /// they are the nodes of the URL and the last known nodes of the cluster, which may have replaced the
    /// former.
    async fn candidates(&self) -> RedisResult<Vec<ConnectionInfo>> {
        match &self.0.target {
            Target::Primary(sentinels, primary) => {
                let (host, port) = sentinels.primary().await?;
                Ok(vec![with_address(primary, &host, port)])
            }
            Target::Nodes(nodes) => {
                let known = self.0.nodes.lock().clone();
                let known = nodes.first().into_iter().flat_map(|one| {
                    known.iter().map(|(host, port)| with_address(one, host, *port))
                });
                Ok(nodes.iter().cloned().chain(known).collect())
            }
        }
    }

    async fn connect_to(&self, node: ConnectionInfo) -> RedisResult<Connection> {
        let client = self.client(node)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let opened = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut link = match opened {
            Ok(link) => link,
            Err(error) => return Err(unknown_host(&client).await.map_or(error, Into::into)),
        };
        let info = match redis::cmd("INFO").query_async::<String>(&mut link).await {
            // If the user may not run INFO, the server is assumed to be a primary.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            info => info?,
        };
        let address = client.get_connection_info().addr().to_string();
        let mode = info_field(&info, "redis_mode").or_else(|| info_field(&info, "server_mode"));
        if mode == Some("sentinel") {
            return Err(ConnectError::IsSentinel(address).into());
        }
        if info_field(&info, "cluster_enabled") == Some("1") {
            let link = self.connect_to_cluster(client.get_connection_info().clone()).boxed();
            let link = timeout(CLUSTER_TIMEOUT, link).await.map_err(io::Error::from)??;
            return Ok(Connection::new(Link::Cluster(link), address, self.clone()));
        }
        if info_field(&info, "role") == Some("slave") {
            return Err(ConnectError::IsReplica(address).into());
        }
        Ok(Connection::new(Link::Node(link), address, self.clone()))
    }

    async fn connect_to_cluster(&self, node: ConnectionInfo) -> RedisResult<Cluster> {
        let mut cluster = Cluster::connect(node, self.0.certificates.as_ref()).await?;
        *self.0.nodes.lock() = cluster.nodes().await?;
        Ok(cluster)
    }

    /// Returns a client of one node.
    fn client(&self, node: ConnectionInfo) -> RedisResult<Client> {
        // Redis before 7.2 has no CLIENT SETINFO and rejects ACL rules that contain it.
        let mut settings = node.redis_settings().clone().set_skip_set_lib_name();
        if settings.password().is_none()
            && let Some(password) = password(&self.0.options.password_file, "redis.password_file")
                .map_err(ConnectError::from)?
        {
            settings = settings.set_password(password);
        }
        node::client(node.set_redis_settings(settings), self.0.certificates.as_ref())
    }
}

/// Returns an error if the host name of a node that cannot be connected to cannot be resolved.
async fn unknown_host(client: &Client) -> Option<ConnectError> {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
        client.get_connection_info().addr()
    else {
        return None;
    };
    let resolved = timeout(CONNECT_TIMEOUT, lookup_host((host.as_str(), *port))).await.ok()?;
    let error = resolved.err()?;
    Some(ConnectError::UnknownHost { host: host.clone(), error })
}

/// Attempts nodes in order and returns the first success. The next attempt starts when the previous ones have
/// failed, or have not responded within [`ATTEMPT_DELAY`].
async fn first_success<'a, T>(
    nodes: Vec<ConnectionInfo>,
    attempt: impl Fn(ConnectionInfo) -> BoxFuture<'a, RedisResult<T>>,
) -> RedisResult<T> {
    let mut nodes = nodes.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = RedisError::from(ConnectError::NoHost);
    loop {
        attempts.extend(nodes.next().map(&attempt));
        let wait = if nodes.len() > 0 { ATTEMPT_DELAY } else { Duration::MAX };
        match timeout(wait, attempts.next()).await {
            Ok(Some(Ok(success))) => return Ok(success),
            Ok(Some(Err(error))) => last_error = error,
            Ok(None) => return Err(last_error),
            Err(_) => {}
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.redacted_url()).finish()
    }
}
