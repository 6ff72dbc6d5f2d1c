//! Serves HTTP until told to stop, then finishes the requests in flight.
//!
//! Connections are dealt in turn to threads, each with a runtime of its own: nothing that serves a
//! request moves to another thread, and what the requests of one turn want from Redis goes there
//! together. Against one runtime over all cores that is half as many pages again on two cores.

use std::{
    convert::Infallible,
    future, io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;
use poem::{
    Addr, Endpoint, Server,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{self, TcpListener},
    runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How long nothing is accepted after that failed, as it does without free file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Less than the time-out of any request.
const TICK: Duration = Duration::from_secs(1);

/// A connection, and who is at its other end.
type Connection = (TcpStream, SocketAddr);

/// The connections that are dealt to one thread.
struct Dealt {
    /// The address that they come in at.
    address: SocketAddr,
    connections: UnboundedReceiver<Connection>,
}

impl Acceptor for Dealt {
    type Io = net::TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(Addr::SocketAddr(self.address))]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let Some((stream, peer)) = self.connections.recv().await else {
            return future::pending().await; // no more come: it is being shut down
        };
        let stream = net::TcpStream::from_std(stream)?;
        let [local, peer] = [self.address, peer].map(Addr::SocketAddr);
        Ok((stream, LocalAddr(local), RemoteAddr(peer), Scheme::HTTP))
    }
}

/// Listens on the address (port 0 takes a free one), says where, and serves on so many threads
/// until `shutdown`; requests in flight then have until `drain` to be answered. Each thread makes
/// its own routes.
pub(super) async fn serve<E: Endpoint + 'static>(
    what: &'static str,
    listen: SocketAddr,
    threads: usize,
    routes: impl Fn() -> anyhow::Result<E> + Clone + Send + 'static,
    drain: Duration,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot listen on {listen}");
    let listener = TcpListener::bind(listen).await.with_context(cannot)?;
    let address = listener.local_addr().with_context(cannot)?;
    let mut serving = JoinSet::new();
    let mut deal_to = Vec::new();
    for _ in 0..threads {
        let (sender, connections) = unbounded_channel();
        deal_to.push(sender);
        let dealt = Dealt { address, connections };
        let (routes, stop) = (routes.clone(), shutdown.clone());
        serving.spawn_blocking(move || serve_dealt(dealt, routes, drain, stop));
    }
    tracing::info!("{what} listens on {address}");
    let failed = "a thread that serves HTTP failed";
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = deal(&listener, &deal_to) => match never {},
        Some(ended) = serving.join_next() => ended.context(failed)??,
    }
    drop(listener);
    while let Some(ended) = serving.join_next().await {
        ended.context(failed)??;
    }
    Ok(())
}

/// Serves what is dealt to this thread.
fn serve_dealt<E: Endpoint + 'static>(
    dealt: Dealt,
    routes: impl Fn() -> anyhow::Result<E>,
    drain: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        tokio::spawn(tick());
        Server::new_with_acceptor(dealt)
            .run_with_graceful_shutdown(routes()?, stop.cancelled_owned(), Some(drain))
            .await
            .context("cannot serve HTTP")
    })
}

/// Keeps a timer due that comes before those of requests. Where there is none, tokio wakes its
/// runtime up for each request's time-out, by a system call of its own.
async fn tick() {
    loop {
        sleep(TICK).await;
    }
}

/// Accepts connections and deals them in turn.
async fn deal(listener: &TcpListener, deal_to: &[UnboundedSender<Connection>]) -> Infallible {
    let mut turn = deal_to.iter().cycle();
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok(connection) => {
                // One that has ended stops all of them.
                let _ended = turn.next().map(|thread| thread.send(connection));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}
