//! Serves HTTP/1 and HTTP/2 (clear text) to clients that may be hostile: slow, silent, or too many.
//! Uses the configuration.
//!
//! Every connection is in a table (`connections`), with what is expected of it and since when
//! (`socket` notes that). One task looks at the table every so often and closes those whose time is
//! up. When there are too many connections, the one that has been idle for longest is closed. `content`
//! compresses answers and permits pages of other origins to read them. A `connection` answers requests;
//! an `event_stream` has it for itself.

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

/// The bytes that the kernel holds for a client that does not read.
const SEND_BUFFER: u32 = 64 * 1024;
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
