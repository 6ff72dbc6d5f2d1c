//! Whether the process lives, and whether it can serve.

use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Serialize;

use super::{
    Tag,
    error::{Problem, RETRY_AFTER},
    json::Json,
};
use crate::store::Store;

pub(super) struct Health {
    store: Store,
}

/// How it is.
#[derive(Debug, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Well.
    Ok,
}

/// Whether the process lives.
#[derive(ApiResponse)]
enum LivenessAnswer {
    /// It lives.
    #[oai(status = 200)]
    Alive(Json<HealthResponse>),
}

/// Whether the process can serve.
#[derive(ApiResponse)]
enum ReadinessAnswer {
    /// It can.
    #[oai(status = 200)]
    Ready(Json<HealthResponse>),
    /// The store cannot be reached right now.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unready(
        Json<Problem>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// The answer of something that is well.
#[derive(Debug, Object, Serialize)]
struct HealthResponse {
    /// Always `ok`; anything else is an error.
    status: Status,
}

const WELL: Json<HealthResponse> = Json(HealthResponse { status: Status::Ok });

impl Health {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[OpenApi(tag = "Tag::Health")]
impl Health {
    /// Liveness
    ///
    /// Answers as long as the process lives; restart it when this fails.
    #[oai(path = "/health/live", method = "get", operation_id = "live")]
    async fn live(&self) -> LivenessAnswer {
        LivenessAnswer::Alive(WELL)
    }

    /// Readiness
    ///
    /// Answers 200 when the store can be reached, else 503; send no requests meanwhile.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready")]
    async fn ready(&self) -> ReadinessAnswer {
        match self.store.ping().await {
            Ok(()) => ReadinessAnswer::Ready(WELL),
            Err(error) => {
                tracing::warn!(%error, "not ready");
                ReadinessAnswer::Unready(Json(Problem::unavailable()), RETRY_AFTER)
            }
        }
    }
}
