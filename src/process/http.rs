//! Serves HTTP until shutdown, then finishes the requests in progress. Depends on `http_server`.

use std::{net::SocketAddr, time::Duration};

use poem::Endpoint;
use tokio_util::sync::CancellationToken;

use crate::http_server::{HttpServer, Limits};

/// Listens on the address, logs it, and serves requests until `shutdown`. After that, requests in progress
/// have the time `drain` to finish. Web pages of the `origins` may read the responses.
pub(super) async fn serve(
    what: &'static str,
    listen: SocketAddr,
    limits: Limits,
    routes: impl Endpoint + 'static,
    origins: &[String],
    drain: Duration,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let server = HttpServer::listen(listen, limits)?;
    tracing::info!("{what} listens on {}", server.address()?);
    server.serve(routes, origins, drain, shutdown).await;
    Ok(())
}
