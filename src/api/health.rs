//! Liveness and readiness of the process.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json};

use super::{
    Tag,
    error::{Problem, RETRY_AFTER},
    numbers::rounded,
};
use crate::{
    config::Config,
    history::{Freshness, History},
};

pub(super) struct Health {
    history: Arc<History>,
    /// Age in seconds above which a price is stale.
    stale_after: i64,
    is_unready_when_stale: bool,
}

/// Status of the process.
#[derive(Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum Status {
    /// The process works normally.
    Ok,
    /// The store is unreachable. Requests are answered from memory.
    Stale,
}

/// Response to a liveness check.
#[derive(ApiResponse)]
enum LivenessAnswer {
    /// The process is running.
    #[oai(status = 200, content_type = "application/json")]
    Alive(Json<LivenessResponse>),
}

/// Response to a readiness check.
#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// The process answers requests.
    #[oai(status = 200, content_type = "application/json")]
    Ready(Json<ReadinessResponse>),
    /// Not ready: the prices are being loaded, the store has been unreachable for longer than
    /// `api.stale_for`, or the last price is stale and `api.unready_when_stale` is set.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unready(
        Json<Problem>,
        /// Number of seconds after which to retry.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// Liveness of the process.
#[derive(Debug, Object)]
struct LivenessResponse {
    /// Always `ok`.
    status: Status,
}

/// Readiness of the process.
#[derive(Debug, Object)]
struct ReadinessResponse {
    /// `ok`, or `stale` while the store is unreachable and requests are answered from memory.
    status: Status,
    /// Time up to which all recorded prices are known: Unix time in seconds (UTC). The current time if the
    /// store is reachable, else the time of the last contact with it.
    known_until: i64,
    /// Clock of this machine minus the clock of the store, in seconds; negative if this machine is
    /// behind. Cotiza uses the clock of the store.
    clock_skew: f64,
    /// Seconds since the last price was observed; null if no price has been recorded.
    age: Option<i64>,
    /// Whether the last price is older than `api.stale_after`, or no price has been recorded. The
    /// process is ready anyway unless `api.unready_when_stale` is set.
    price_stale: bool,
}

impl Health {
    pub(super) fn new(history: Arc<History>, config: &Config) -> Self {
        let stale_after = config.stale_after();
        Self { history, stale_after, is_unready_when_stale: config.api.unready_when_stale }
    }
}

#[OpenApi(tag = "Tag::Health")]
impl Health {
    /// Liveness
    ///
    /// Returns 200 as long as the process is running. If this check fails, restart the process.
    #[oai(path = "/health/live", method = "get", operation_id = "live")]
    async fn live(&self) -> LivenessAnswer {
        LivenessAnswer::Alive(Json(LivenessResponse { status: Status::Ok }))
    }

    /// Readiness
    ///
    /// Returns 200 while the process answers requests, including from memory while the store is
    /// unreachable, and 503 otherwise. Do not send requests to the process while it returns 503.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready")]
    async fn ready(&self) -> ReadinessAnswer {
        let clock_skew = rounded(self.history.store().clock().skew());
        let last = self.history.size().last;
        let age = last.map(|last| (self.history.now() - last).max(0));
        let price_stale = age.is_none_or(|age| age > self.stale_after);
        let ready = |status, known_until| {
            if price_stale && self.is_unready_when_stale {
                let detail = age.map_or_else(
                    || "No price has been recorded yet.".to_owned(),
                    |age| format!("The last price is stale: it is {age} s old."),
                );
                let problem = Problem::unavailable_because(detail);
                return ReadinessAnswer::Unready(Json(problem), RETRY_AFTER);
            }
            let response = ReadinessResponse { status, known_until, clock_skew, age, price_stale };
            ReadinessAnswer::Ready(Json(response))
        };
        match self.history.freshness() {
            Freshness::Current { known_until } => ready(Status::Ok, known_until),
            Freshness::Stale { known_until } => ready(Status::Stale, known_until),
            Freshness::Loading | Freshness::Expired { .. } => {
                ReadinessAnswer::Unready(Json(Problem::unavailable()), RETRY_AFTER)
            }
        }
    }
}
