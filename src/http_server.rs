//! Serves HTTP/1 and HTTP/2 (clear text) to clients that may be hostile: slow, silent, or too many.
//! Uses the configuration.
//!
//! Every connection is in a table (`connections`), with what is expected of it and since when
//! (`socket` notes that). One task looks at the table every so often and closes those whose time is
//! up. When there are too many connections, the one that has been idle for longest is closed. `content`
//! compresses answers and permits pages of other origins to read them.

mod connections;
mod content;
mod socket;

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::Either;
use http_body_util::combinators::BoxBody;
use hyper::{
    Method,
    body::{Bytes, Incoming},
    header::ACCESS_CONTROL_REQUEST_METHOD,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use poem::{
    Addr, Endpoint, EndpointExt as _, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

pub use self::connections::Limits;
use self::{
    connections::Connections,
    socket::{Handling, Socket},
};

/// The body of an answer.
type AnswerBody = BoxBody<Bytes, std::io::Error>;

/// The bytes that the kernel holds for a client that does not read.
const SEND_BUFFER: u32 = 64 * 1024;
/// Requests at the same time in one connection of HTTP/2, and the bytes that are held for each.
const STREAMS: u32 = 8;
const STREAM_BUFFER: usize = 16 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// The files that a process needs besides its connections: Redis, logs, the runtime.
const OTHER_FILES: usize = 64;
/// The pause when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// A server that listens.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    limits: Limits,
}

impl HttpServer {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the process may open too few files.
    pub fn listen(address: SocketAddr, limits: Limits) -> anyhow::Result<Self> {
        let connections = affordable(limits.connections)?;
        let listener = listener(address).with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { listener, limits: Limits { connections, ..limits } })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// If the system does not tell it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`; requests in flight then have until `drain` to be answered. Web pages of
    /// the `origins` may read the answers.
    pub async fn serve(
        self,
        routes: impl Endpoint + 'static,
        origins: &[String],
        drain: Duration,
        shutdown: &CancellationToken,
    ) {
        let routes = Arc::new(routes.map_to_response());
        let cors = content::cors(origins);
        let max_head = self.limits.head;
        let (connections, serving) = (Connections::new(self.limits), TaskTracker::new());
        let stopping = shutdown.child_token();
        let closing = tokio::spawn(Arc::clone(&connections).close_overdue());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if is_exhausted(&error) {
                        connections.close_idlest();
                    }
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let (routes, stopping) = (Arc::clone(&routes), stopping.clone());
            connections.admit(client.ip(), |entry| {
                let cors = cors.clone();
                let connection = Connection { stream, client, max_head, cors, entry };
                serving.spawn(connection.serve(routes, stopping)).abort_handle()
            });
        }
        drop(self.listener);
        serving.close();
        let _late = timeout(drain, serving.wait()).await;
        connections.close_all();
        closing.abort();
    }
}

/// A connection that was accepted.
struct Connection {
    stream: TcpStream,
    client: SocketAddr,
    max_head: usize,
    cors: CorsLayer,
    entry: connections::Entry,
}

impl Connection {
    async fn serve(
        self,
        routes: Arc<impl Endpoint<Output = Response> + 'static>,
        stopping: CancellationToken,
    ) {
        let Self { stream, client, max_head, cors, entry } = self;
        let Ok(local) = stream.local_addr() else { return };
        // No buffers before the client sends something.
        tokio::select! {
            readable = stream.readable() => if readable.is_err() { return },
            () = stopping.cancelled() => return,
        }
        let _small_answers_at_once = stream.set_nodelay(true);
        let activity = Arc::clone(entry.activity());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (routes, activity) = (Arc::clone(&routes), Arc::clone(&activity));
            let addresses = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(client)));
            async move {
                // Also if the client cancels the request.
                let handling = Handling::begin(activity);
                let request = Request::from((request, addresses.0, addresses.1, Scheme::HTTP));
                let response = routes.get_response(request).await;
                drop(handling);
                Ok::<hyper::Response<AnswerBody>, Infallible>(response.into())
            }
        });
        let for_pages = cors.layer(answer.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            // Also those that have no Origin, for caches; but an OPTIONS by hand is no preflight.
            let is_by_hand = request.method() == Method::OPTIONS
                && !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
            if is_by_hand {
                Either::Left(answer.clone().oneshot(request))
            } else {
                Either::Right(for_pages.clone().oneshot(request))
            }
        });
        let answer = TowerToHyperService::new(content::compression().layer(answer));
        let socket = TokioIo::new(Socket::new(stream, Arc::clone(entry.activity())));
        let server = protocols(max_head);
        let mut connection = std::pin::pin!(server.serve_connection(socket, answer));
        // An error means that the client is gone or that this is not HTTP.
        tokio::select! {
            _ended = connection.as_mut() => return,
            () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ended = connection.await;
    }
}

/// The address that stands for a client: one of IPv6 for its network of 64 bits, which is one
/// client's.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether a connection was not accepted because there are too many.
fn is_exhausted(error: &std::io::Error) -> bool {
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}

/// HTTP/1, and HTTP/2 for clients that begin with it. A connection with many requests at the same time
/// must not take much more memory than one.
fn protocols(max_head: usize) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_buf_size(max_head).header_read_timeout(None);
    server
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(STREAM_BUFFER)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX));
    server
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Connections have it from the listener.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How many connections the process has files for, at most `wanted`. Its limit of files is raised as
/// far as it may be.
fn affordable(wanted: usize) -> anyhow::Result<usize> {
    let files = Resource::RLIMIT_NOFILE;
    let (mut soft, hard) = getrlimit(files).context("cannot ask for the limit of open files")?;
    let needed = u64::try_from(wanted + OTHER_FILES)?;
    if soft < needed && setrlimit(files, needed.min(hard), hard).is_ok() {
        soft = needed.min(hard);
    }
    let affordable = usize::try_from(soft)?.saturating_sub(OTHER_FILES);
    anyhow::ensure!(
        affordable > 0,
        "this process may open {soft} files, which is too few: raise `ulimit -n` to 1024"
    );
    if affordable < wanted {
        tracing::warn!(
            connections = affordable,
            "fewer connections than api.max_connections: this process may open only {soft} files"
        );
    }
    Ok(wanted.min(affordable))
}
