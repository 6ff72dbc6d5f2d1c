//! A Redis and how to reach it. Depends on nothing of the crate.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
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
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::time::timeout;

use super::{
    AddressError, Connection, Link, SharedConnection,
    address::{Address, moved, shown},
    cluster::Cluster,
    fault,
    health::ANSWER_TIMEOUT,
    sentinel::Sentinels,
    tls,
};

/// The longest that opening a connection may take, TLS and log-in included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that opening connections to the nodes of a cluster may take. One that hangs takes half of it.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(4);
/// The next address is tried when those before have given no answer for so long.
const NEXT_AFTER: Duration = Duration::from_millis(300);

/// Which Redis, and how to reach it. Empty paths and texts are none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where it is.
    pub url: String,
    /// A file with the password, for a URL without one. Read for each connection.
    pub password_file: PathBuf,
    /// The certificates of who may sign the server's certificate, as PEM; without it, those of the system.
    pub ca_file: PathBuf,
    /// The certificate of this client, as PEM.
    pub cert_file: PathBuf,
    /// The private key of that certificate, as PEM.
    pub key_file: PathBuf,
    /// The user for the Sentinels.
    pub sentinel_username: String,
    /// A file with the password for the Sentinels.
    pub sentinel_password_file: PathBuf,
    /// Whether connections to the Sentinels use TLS; `None`: as those to Redis.
    pub sentinel_tls: Option<bool>,
}

/// What a server said when a connection to it was made. A user without the permission for INFO learns the
/// address alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its host and port, or its socket.
    pub address: String,
    /// The answer to INFO.
    info: String,
}

impl Facts {
    /// A field of the answer to INFO.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.info, name)
    }
}

/// A field of an answer to INFO.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A Redis. Clones are the same one.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    options: Options,
    address: Address,
    certificates: Option<TlsCertificates>,
    sentinels: Option<Sentinels>,
    /// The nodes of the cluster, if it is one and has been connected to.
    nodes: Mutex<Vec<(String, u16)>>,
    /// Whether a connection has been opened before.
    has_connected: AtomicBool,
}

impl Server {
    /// A Redis, which is not connected to yet.
    ///
    /// # Errors
    /// If the URL or a file cannot be used.
    pub fn new(options: Options) -> Result<Self, AddressError> {
        let address = Address::parse(&options.url)?;
        let certificates = tls::certificates(&options)?;
        if certificates.is_some() && !address.is_tls() {
            let reason =
                "it has no TLS, for which redis.ca_file and redis.cert_file are; give rediss://...";
            let value = shown(&options.url);
            return Err(AddressError { key: "redis.url", value, reason: reason.to_owned() });
        }
        password(&options.password_file, "redis.password_file")?;
        let sentinels = sentinels(&address, &options, certificates.as_ref())?;
        Ok(Self(Arc::new(Inner {
            options,
            address,
            certificates,
            sentinels,
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
        self.0.address.is_tls()
    }

    /// What probably helps against an error of a connection to it; `None` if that is not known.
    pub fn advice(&self, error: &(dyn Error + 'static)) -> Option<&'static str> {
        // A port that does not use TLS would have shown that by the first connection.
        let may_lack_tls = self.is_tls() && !self.0.has_connected.load(Ordering::Relaxed);
        fault::advice(error, may_lack_tls)
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
        let Some(sentinels) = &self.0.sentinels else { return false };
        let primary = sentinels.primary().await;
        primary.is_ok_and(|(host, port)| format!("{host}:{port}") != address)
    }

    /// The nodes to try, in this order: the primary that the Sentinels name; else those of the URL, and those
    /// that a cluster had when it was connected to, should the ones of the URL have left it.
    async fn candidates(&self) -> RedisResult<Vec<ConnectionInfo>> {
        match (&self.0.address, &self.0.sentinels) {
            (Address::Service { primary, .. }, Some(sentinels)) => {
                let (host, port) = sentinels.primary().await?;
                Ok(vec![moved(primary, &host, port)])
            }
            (Address::Service { primary, .. }, None) => Ok(vec![ConnectionInfo::clone(primary)]),
            (Address::Nodes(nodes), _) => {
                let known = self.0.nodes.lock().clone();
                let template = nodes.first().cloned();
                let known = known.into_iter().filter_map(|(host, port)| {
                    template.as_ref().map(|template| moved(template, &host, port))
                });
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
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            info => info?,
        };
        let facts = Facts { address: client.get_connection_info().addr().to_string(), info };
        let mode = facts.field("redis_mode").or_else(|| facts.field("server_mode"));
        if mode == Some("sentinel") {
            let reason = format!("{} is a Sentinel: give redis+sentinel://...", facts.address);
            return Err(io::Error::other(reason).into());
        }
        if facts.field("cluster_enabled") == Some("1") {
            let link = self.connect_to_cluster(client.get_connection_info().clone()).boxed();
            let link = timeout(CLUSTER_TIMEOUT, link).await.map_err(io::Error::from)??;
            return Ok(Connection::new(Link::Cluster(link), facts, self.clone()));
        }
        if facts.field("role") == Some("slave") {
            let reason = format!("{} is a replica, which records nothing", facts.address);
            return Err(io::Error::other(reason).into());
        }
        Ok(Connection::new(Link::Node(link), facts, self.clone()))
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
        client(node.set_redis_settings(settings), self.0.certificates.as_ref())
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

fn client(node: ConnectionInfo, certificates: Option<&TlsCertificates>) -> RedisResult<Client> {
    let node = node.set_tcp_settings(tcp_settings());
    match certificates {
        Some(certificates) => Client::build_with_tls(node, certificates.clone()),
        None => Client::open(node),
    }
}

/// Ends connections whose packets are lost: idle ones by keepalive, others by the user timeout.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(2))
        .with_interval(Duration::from_secs(1))
        .with_retries(2);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(3));
    settings
}

/// The password in a file, which may end with line breaks; `None` if no file is named.
fn password(file: &Path, key: &'static str) -> Result<Option<String>, AddressError> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| tls::wrong(key, file, format!("cannot read it: {error}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(tls::wrong(key, file, "it is empty; give a file with a password".to_owned()));
    }
    Ok(Some(password.to_owned()))
}

/// The Sentinels of an address that has some.
fn sentinels(
    address: &Address,
    options: &Options,
    certificates: Option<&TlsCertificates>,
) -> Result<Option<Sentinels>, AddressError> {
    let Address::Service { sentinels, service, .. } = address else {
        return Ok(None);
    };
    let is_tls = options.sentinel_tls.unwrap_or(address.is_tls());
    let scheme = if is_tls { "rediss" } else { "redis" };
    let password = password(&options.sentinel_password_file, "redis.sentinel_password_file")?;
    let mut clients = Vec::new();
    for (host, port) in sentinels {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = format!("{scheme}://{host}:{port}");
        let failed = |error: RedisError| {
            let (key, value) = ("redis.url", shown(&options.url));
            AddressError { key, value, reason: error.to_string() }
        };
        let node = redis::IntoConnectionInfo::into_connection_info(url).map_err(failed)?;
        let mut settings = node.redis_settings().clone();
        if !options.sentinel_username.is_empty() {
            settings = settings.set_username(&options.sentinel_username);
        }
        if let Some(password) = &password {
            settings = settings.set_password(password);
        }
        let certificates = certificates.filter(|_| is_tls);
        clients.push(client(node.set_redis_settings(settings), certificates).map_err(failed)?);
    }
    Ok(Some(Sentinels::new(service.clone(), clients)))
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.shown()).finish()
    }
}
