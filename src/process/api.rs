//! The api process: serves what is recorded.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api, config::Config, http_server::Limits, jobs, metrics::Metrics, queue::Inspector, store::Role,
};

use super::{http, preflight, presence::Presence};

/// The longest that requests in flight are waited for; none takes as long, whatever Redis does.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves the REST API until `shutdown`. Redis may be away: requests are answered 503 until the
/// recorded prices have been loaded, from memory after that.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let history = Arc::new(super::history(config, store.clone())?);
    let metrics = Metrics::default();
    let inspector = Inspector::new(&server, jobs::QUEUES.to_vec(), &config.queue);
    let routes = api::routes(Arc::clone(&history), &inspector, metrics.clone(), config);
    let presence = Arc::new(Presence::new(store.clone(), Role::Api, metrics));
    super::log_start("api", presence.name(), config);
    tokio::spawn(preflight::log(store.clone(), server));
    let shown = Arc::clone(&presence);
    let background = tokio::spawn(async move {
        store.clock().synchronized().await;
        tokio::join!(history.follow(), shown.show(|| true))
    });
    let limits = Limits::from(&config.api);
    let origins = &config.api.cors_origins;
    http::serve("the API", config.api.listen, limits, routes, origins, DRAIN, shutdown).await?;
    // A heartbeat would put it back.
    background.abort();
    presence.leave().await;
    Ok(())
}
