//! The api process: serves what is recorded.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::http;
use crate::{api, config::Config};

/// The longest that requests in flight are waited for; none takes as long, whatever Redis does.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves the REST API until `shutdown`. Redis may be away: requests are answered 503 until the
/// recorded prices have been loaded, from memory after that.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let history = Arc::new(super::history(config)?);
    let routes = api::routes(Arc::clone(&history), config);
    tokio::spawn(async move { history.follow().await });
    http::serve("the API", config.api.listen, routes, DRAIN, shutdown).await
}
