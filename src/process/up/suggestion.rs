//! The suggestion to use the simulated exchange if `cotiza up` records no price, probably because it has no
//! internet access. Depends on `config` and `http_client`.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::sleep;

use crate::{config::Config, http_client, process::healthcheck};

/// The longest wait for the first price.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The part of the latest price that is read.
#[derive(Deserialize)]
struct Latest {
    /// The age of the price in seconds.
    age: u64,
}

/// Logs a suggestion if no price has been recorded after two slots and three seconds, but at most 20 seconds:
/// if the source can be reached, a price is recorded in the first slot.
pub(super) async fn suggest(config: &Config, origin: &str) {
    let started = Instant::now();
    sleep((config.schedule.every * 2 + Duration::from_secs(3)).min(MAX_WAIT)).await;
    if has_recorded(config, origin, started).await == Some(false) {
        tracing::warn!(
            "no price has been recorded since the start; without internet access, run \
             `cotiza up --simulate` (or `make up SIMULATE=1`) to record simulated prices, which \
             are stored separately"
        );
    }
}

/// Returns whether a price has been recorded since the given time; `None` if the API does not respond.
async fn has_recorded(config: &Config, origin: &str, since: Instant) -> Option<bool> {
    let client = http_client::local(healthcheck::TIMEOUT).ok()?;
    let response = client.get(format!("{origin}/api/latest/")).send().await.ok()?;
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Some(false);
    }
    let latest: Latest = serde_json::from_str(&response.text().await.ok()?).ok()?;
    // The price of the current slot may have been recorded before the start.
    Some(latest.age <= (since.elapsed() + config.schedule.every).as_secs())
}
