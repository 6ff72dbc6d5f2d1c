//! `metrics.listen`: what a scheduler or a worker has counted itself, for a Prometheus.

use std::time::Duration;

use anyhow::Context as _;
use poem::{Route, endpoint::make_sync, get};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    http_server::{HttpServer, Limits},
    metrics::{Metrics, answer, exposed, of_process},
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
    let server = HttpServer::listen(listen, Limits::from(&config.api)).context("metrics.listen")?;
    tracing::info!("the metrics of this process are at http://{}/metrics", server.address()?);
    let page = make_sync(move |request| {
        let mut registry = of_process(role.name());
        let own = registry.sub_registry_with_prefix("cotiza");
        own.register_collector(Box::new(exposed(metrics.total(), |_| true)));
        answer(&request, &registry)
    });
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let routes = Route::new().at("/metrics", get(page));
        server.serve(routes, &[], Duration::ZERO, &shutdown).await;
    });
    Ok(())
}
