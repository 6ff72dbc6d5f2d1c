//! The api process: serves what is stored.

use std::{num::NonZero, sync::Arc, thread, time::Duration};

use tokio_util::sync::CancellationToken;

use super::http;
use crate::{api, config::Config};

/// The longest that requests in flight are waited for; none takes as long, whatever Redis does.
const DRAIN: Duration = Duration::from_secs(3);

/// Redis does one thing at a time: it is busy with what so many threads ask of it.
const MOST_THREADS: usize = 4;

/// Serves the REST API until `shutdown`. Redis may be away: requests are answered 503 meanwhile.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, client) = super::store(config)?;
    let listen = config.api.listen;
    let config = Arc::new(config.clone());
    let routes = move || Ok(api::routes(store.with_own_connection(&client)?, &config));
    http::serve("the API", listen, threads(), routes, DRAIN, shutdown).await
}

/// One for each core.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}
