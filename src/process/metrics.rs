//! `metrics.listen`: serves the metrics of one scheduler or worker to Prometheus. Depends on `config`,
//! `http_server`, `metrics` and `store`.

use std::time::Duration;

use anyhow::Context as _;
use poem::{Route, endpoint::make_sync, get};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    http_server::{HttpServer, Limits},
    metrics::{Metrics, collector, process_registry, response},
    store::Role,
};

/// Serves the metrics of this process in the background until `shutdown`, if `metrics.listen` is set.
///
/// # Errors
/// Returns an error if the address is not available.
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
        let mut registry = process_registry(role.name());
        let own = registry.sub_registry_with_prefix("cotiza");
        own.register_collector(Box::new(collector(metrics.total(), |_| true)));
        response(&request, &registry)
    });
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let routes = Route::new().at("/metrics", get(page));
        server.serve(routes, &[], Duration::ZERO, &shutdown).await;
    });
    Ok(())
}
