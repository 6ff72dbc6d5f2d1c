//! The api process: serves what is recorded.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::http;
use crate::{
    api,
    config::Config,
    http_server::Limits,
    store::{Role, Store},
};

/// The longest that requests in flight are waited for; none takes as long, whatever Redis does.
const DRAIN: Duration = Duration::from_secs(3);
/// How often an api notes that it is at work.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves the REST API until `shutdown`. Redis may be away: requests are answered 503 until the
/// recorded prices have been loaded, from memory after that.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, _) = super::store(config)?;
    let name = super::name();
    super::log_start("api", &name, config);
    let history = Arc::new(super::history(config, store.clone())?);
    let routes = api::routes(Arc::clone(&history), config);
    tokio::spawn(async move {
        store.clock().synchronized().await;
        tokio::join!(history.follow(), show_life(&store, &name))
    });
    let limits = Limits::from(&config.api);
    let origins = &config.api.cors_origins;
    http::serve("the API", config.api.listen, limits, routes, origins, DRAIN, shutdown).await
}

/// Notes for ever that this api is at work.
async fn show_life(store: &Store, name: &str) {
    loop {
        if let Err(error) = store.heartbeat(Role::Api, name).await {
            tracing::debug!(%error, "no heartbeat given");
        }
        sleep(HEARTBEAT).await;
    }
}
