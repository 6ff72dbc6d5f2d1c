//! Serves HTTP until told to stop, then finishes the requests in flight.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use poem::{
    Endpoint, Server,
    listener::{Acceptor as _, Listener as _, TcpListener},
};
use tokio_util::sync::CancellationToken;

/// Listens on the address (port 0 takes a free one), logs it, and serves until `shutdown`; requests
/// in flight then have until `drain` to be answered.
pub(super) async fn serve(
    what: &'static str,
    listen: SocketAddr,
    routes: impl Endpoint + 'static,
    drain: Duration,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let acceptor = TcpListener::bind(listen).into_acceptor().await;
    let acceptor = acceptor.with_context(|| format!("cannot listen on {listen}"))?;
    for address in acceptor.local_addr() {
        tracing::info!("{what} listens on {}", address.as_socket_addr().unwrap_or(&listen));
    }
    Server::new_with_acceptor(acceptor)
        .run_with_graceful_shutdown(routes, shutdown.clone().cancelled_owned(), Some(drain))
        .await
        .context("cannot serve HTTP")
}
