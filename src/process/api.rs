//! The api process: serves what is stored.

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::http;
use crate::{api, config::Config, store::Store};

/// Serves the REST API until `shutdown`. Redis may be away: requests are answered 503 meanwhile.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let client = redis::Client::open(config.redis.url.as_str()).context("redis.url")?;
    let routes = api::routes(Store::new(&client)?, &config.api);
    http::serve("the API", config.api.listen, routes, shutdown).await
}
