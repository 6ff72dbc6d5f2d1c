//! The api process: serves what is recorded.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

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
    let listen = config.api.listen;
    let following = Arc::clone(&history);
    tokio::spawn(async move { following.follow().await });
    let config = Arc::new(config.clone());
    let routes = move || Ok(api::routes(Arc::clone(&history), &config));
    http::serve("the API", listen, threads(), routes, DRAIN, shutdown).await
}

/// One for each core.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
