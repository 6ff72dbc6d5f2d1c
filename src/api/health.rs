//! Whether the process lives, and whether it can answer.

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
    /// The age in seconds from which a price is stale.
    stale_after: i64,
    is_unready_when_stale: bool,
}

/// How the process is.
#[derive(Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum Status {
    /// All is well.
    Ok,
    /// The store cannot be reached. Everything that was recorded before can still be read.
    Stale,
}

/// Whether the process lives.
#[derive(ApiResponse)]
enum LivenessAnswer {
    /// It lives.
    #[oai(status = 200, content_type = "application/json")]
    Alive(Json<LivenessResponse>),
}

/// Whether the process can answer.
#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// It can.
    #[oai(status = 200, content_type = "application/json")]
    Ready(Json<ReadinessResponse>),
    /// Requests are refused: the prices are being loaded, or the store has been away for too long.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unready(
        Json<Problem>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// The answer of a process that lives.
#[derive(Debug, Object)]
struct LivenessResponse {
    /// Always `ok`; anything else is an error.
    status: Status,
}

/// What the process can answer.
#[derive(Debug, Object)]
struct ReadinessResponse {
    /// `ok`, or `stale` while the store cannot be reached.
    status: Status,
    /// The unix second up to which everything that was recorded is known.
    known_until: i64,
    /// How far the clock of this machine is ahead of the clock of the store, in seconds; negative if
    /// it is behind. The clock of the store is the one that counts.
    clock_skew: f64,
    /// The seconds since the last price was observed; null if none was.
    age: Option<i64>,
    /// Whether the last price is so old that something is wrong, see `api.stale_after`. Questions are
    /// answered all the same, unless `api.unready_when_stale` is set.
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
    /// Answers as long as the process lives; restart it when this fails.
    #[oai(path = "/health/live", method = "get", operation_id = "live")]
    async fn live(&self) -> LivenessAnswer {
        LivenessAnswer::Alive(Json(LivenessResponse { status: Status::Ok }))
    }

    /// Readiness
    ///
    /// Answers 200 while requests are answered, also from memory while the store cannot be reached;
    /// else 503: send no requests meanwhile.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready")]
    async fn ready(&self) -> ReadinessAnswer {
        let clock_skew = rounded(self.history.store().clock().skew());
        let last = self.history.size().last;
        let age = last.map(|last| (self.history.now() - last).max(0));
        let price_stale = age.is_none_or(|age| age > self.stale_after);
        let ready = |status, known_until| {
            if price_stale && self.is_unready_when_stale {
                let age =
                    age.map_or("there is none".to_owned(), |age| format!("it is {age} s old"));
                let detail = format!("The last price is stale: {age}.");
                let problem = Problem::unavailable_because(detail);
                return ReadinessAnswer::Unready(Json(problem), RETRY_AFTER);
            }
            let response = ReadinessResponse { status, known_until, clock_skew, age, price_stale };
            ReadinessAnswer::Ready(Json(response))
        };
        match self.history.freshness() {
            Freshness::Current { known_until } => ready(Status::Ok, known_until),
            Freshness::Stale { known_until } => ready(Status::Stale, known_until),
            Freshness::Loading | Freshness::Refusing { .. } => {
                ReadinessAnswer::Unready(Json(Problem::unavailable()), RETRY_AFTER)
            }
        }
    }
}
