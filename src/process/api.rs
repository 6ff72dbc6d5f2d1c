//! The api process: serves the recorded prices. Depends on `api`, `queue`, `store` and other modules.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api, config::Config, http_server::Limits, jobs, metrics::Metrics, queue::Inspector, store::Role,
};

use super::{heartbeat::Heartbeat, http, preflight};

/// How long the process waits for requests in progress. Every request ends earlier, even if Redis hangs.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves the REST API until `shutdown`. It also starts if Redis is unavailable: until the recorded prices
/// have been loaded, the status is 503; afterwards, requests are answered from memory.
///
/// # Errors
/// Returns an error if the address is not available.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let history = Arc::new(super::history(config, store.clone())?);
    let metrics = Metrics::default();
    let inspector = Inspector::new(&server, jobs::QUEUES.to_vec(), &config.queue);
    let routes = api::routes(Arc::clone(&history), &inspector, metrics.clone(), config);
    let heartbeat = Arc::new(Heartbeat::new(store.clone(), Role::Api, metrics));
    super::log_start("api", heartbeat.name(), config);
    tokio::spawn(preflight::log(store.clone(), server));
    let sender = Arc::clone(&heartbeat);
    let background = tokio::spawn(async move {
        store.clock().synchronized().await;
        tokio::join!(history.follow(), sender.send_while(|| true))
    });
    let limits = Limits::from(&config.api);
    let origins = &config.api.cors_origins;
    http::serve("the API", config.api.listen, limits, routes, origins, DRAIN, shutdown).await?;
    // A further heartbeat would register the process again.
    background.abort();
    heartbeat.deregister().await;
    Ok(())
}
