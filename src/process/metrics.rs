//! `metrics.listen`: what a scheduler or a worker has counted itself, for a Prometheus.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use poem::{Response, Route, endpoint::make_sync, get, http::header};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    http_server::{HttpServer, Limits},
    metrics::{Exposition, Metrics, exposed, register_build, register_process},
    store::Role,
};

/// Serves the metrics of this process in the background until `shutdown`, if that is configured.
///
/// # Errors
/// If the address cannot be listened on.
pub(super) fn serve(
    config: &Config,
    role: Role,
    metrics: Metrics,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(listen) = config.metrics.listen else { return Ok(()) };
    let server = listener(config, listen).context("metrics.listen")?;
    tracing::info!("the metrics of this process are at http://{}/metrics", server.address()?);
    let page = make_sync(move |request| {
        let accept = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
        let format = Exposition::preferred(accept);
        let mut registry = Registry::default();
        register_build(&mut registry, role.name());
        register_process(&mut registry);
        let own = registry.sub_registry_with_prefix("cotiza");
        own.register_collector(Box::new(exposed(metrics.total(), |_| true)));
        Response::builder().content_type(format.content_type()).body(format.text(&registry))
    });
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let routes = Route::new().at("/metrics", get(page));
        server.serve(routes, &[], Duration::ZERO, &shutdown).await;
    });
    Ok(())
}

fn listener(config: &Config, listen: SocketAddr) -> anyhow::Result<HttpServer> {
    HttpServer::listen(listen, Limits::from(&config.api))
}
