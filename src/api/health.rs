//! Whether the process lives, and whether it can serve.

use poem_openapi::{Enum, Object, OpenApi, payload::Json};

use super::{Tag, error::ApiError};
use crate::store::Store;

pub(super) struct Health {
    store: Store,
}

/// How it is.
#[derive(Debug, Enum)]
#[oai(rename_all = "lowercase")]
enum Status {
    /// Well.
    Ok,
}

/// The answer of something that is well.
#[derive(Debug, Object)]
struct HealthResponse {
    /// Always `ok`; anything else is an error.
    status: Status,
}

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
    #[oai(path = "/health/live", method = "get")]
    async fn live(&self) -> Json<HealthResponse> {
        Json(HealthResponse { status: Status::Ok })
    }

    /// Readiness
    ///
    /// Answers 200 when the store can be reached, else 503; send no requests meanwhile.
    #[oai(path = "/health/ready", method = "get")]
    async fn ready(&self) -> Result<Json<HealthResponse>, ApiError> {
        self.store.ping().await?;
        Ok(Json(HealthResponse { status: Status::Ok }))
    }
}
