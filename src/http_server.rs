//! An HTTP/1 and HTTP/2 server (clear text) that tolerates hostile clients: slow, silent, or too many.
//! Depends on the configuration.
//!
//! A table (`connections`) contains each connection with the event that it waits for and since when, which
//! `socket` updates. One task checks the table regularly and closes connections whose time limit has expired.
//! If there are too many connections, the one that has been idle longest is closed. `content` compresses
//! responses and permits web pages of other origins to read them. A `connection` responds to requests; an
//! `event_stream` takes over the socket of its connection.

mod accept;
mod connection;
mod connections;
mod content;
mod event_stream;
mod socket;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use poem::{Endpoint, EndpointExt as _};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{accept::media_ranges, connections::Limits};
use self::{connection::Connection, connections::Connections};

/// The bytes that the kernel buffers for a client that does not read.
const SEND_BUFFER: u32 = 64 * 1024;
/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// The number of open files that a process needs besides its connections, for Redis, logs and the runtime.
const RESERVED_FILES: usize = 64;
/// The delay after a connection could not be accepted.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);

/// A server that listens on an address.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    limits: Limits,
}

impl HttpServer {
    /// Listens on an address; port 0 selects a free port.
    ///
    /// # Errors
    /// Returns an error if listening on the address fails, or if the process may open too few files.
    pub fn listen(address: SocketAddr, limits: Limits) -> anyhow::Result<Self> {
        let connections = permitted(limits.connections)?;
        let listener = listener(address).with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { listener, limits: Limits { connections, ..limits } })
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    /// Returns an error if the system does not return the address.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves requests until `shutdown` is cancelled, then waits up to `drain` for requests in flight. Web
    /// pages of the `origins` may read the responses.
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
                        connections.close_longest_idle();
                    }
                    sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            let (routes, stopping) = (Arc::clone(&routes), stopping.clone());
            connections.admit(client.ip(), |entry| {
                let cors = cors.clone();
                let connection = Connection { stream, client, max_head, cors, entry, stopping };
                serving.spawn(connection.serve(routes)).abort_handle()
            });
        }
        drop(self.listener);
        serving.close();
        let _late = timeout(drain, serving.wait()).await;
        connections.close_all();
        closing.abort();
    }
}

/// Returns the address that identifies a client. An IPv6 address is reduced to its /64 network, which usually
/// belongs to one client.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Returns whether a connection was not accepted because system resources are exhausted.
fn is_exhausted(error: &std::io::Error) -> bool {
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit this size.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns the number of connections that the limit of open files permits, at most `wanted`. Raises the soft
/// limit as far as the hard limit permits.
fn permitted(wanted: usize) -> anyhow::Result<usize> {
    let files = Resource::RLIMIT_NOFILE;
    let (mut soft, hard) = getrlimit(files).context("cannot read the limit of open files")?;
    let needed = u64::try_from(wanted + RESERVED_FILES)?;
    if soft < needed && setrlimit(files, needed.min(hard), hard).is_ok() {
        soft = needed.min(hard);
    }
    let permitted = usize::try_from(soft)?.saturating_sub(RESERVED_FILES);
    anyhow::ensure!(
        permitted > 0,
        "this process may open only {soft} files: raise `ulimit -n` to at least 1024"
    );
    if permitted < wanted {
        tracing::warn!(
            connections = permitted,
            "fewer connections than api.max_connections: this process may open only {soft} files"
        );
    }
    Ok(wanted.min(permitted))
}
