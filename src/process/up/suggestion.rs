//! What to do without internet: `cotiza up` suggests the simulated exchange when it records nothing.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::sleep;

use crate::{config::Config, http_client, process::healthcheck};

/// The longest that the first price is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is read of the latest price.
#[derive(Deserialize)]
struct Latest {
    /// In seconds.
    age: u64,
}

/// Logs a suggestion if no price has been recorded after two slots, or after 20 seconds where these are
/// longer: a price is recorded in the first slot, unless the exchange cannot be reached.
pub(super) async fn suggest(config: &Config, origin: &str) {
    let started = Instant::now();
    sleep((config.schedule.every * 2 + Duration::from_secs(3)).min(PATIENCE)).await;
    if records(config, origin, started).await == Some(false) {
        tracing::warn!(
            "no price was recorded since the start; without internet, `cotiza up --simulate` (or \
             `make up SIMULATE=1`) records those of a simulated exchange, apart from real ones"
        );
    }
}

/// Whether a price was recorded since that moment; `None` if the API does not tell.
async fn records(config: &Config, origin: &str, since: Instant) -> Option<bool> {
    let client = http_client::local(healthcheck::TIMEOUT).ok()?;
    let answer = client.get(format!("{origin}/api/latest/")).send().await.ok()?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Some(false);
    }
    let latest: Latest = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    // The slot in which it was started may have been recorded before that.
    Some(latest.age <= (since.elapsed() + config.schedule.every).as_secs())
}
