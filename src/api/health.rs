//! Whether the process lives, and whether it can answer.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json};

use super::{
    Tag,
    error::{Problem, RETRY_AFTER},
};
use crate::history::{Freshness, History};

pub(super) struct Health {
    history: Arc<History>,
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
}

impl Health {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
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
        // Adding zero makes -0.0 to 0.0.
        let clock_skew = (self.history.store().clock().skew() * 1000.0).round() / 1000.0 + 0.0;
        let ready = |status, known_until| {
            let response = ReadinessResponse { status, known_until, clock_skew };
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
