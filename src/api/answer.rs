//! Responses with one JSON object, which most resources return.

use poem_openapi::{
    ApiResponse,
    payload::Json,
    types::{ToJSON, Type},
};

use super::error::Problem;
use crate::history::Answered;

/// A response that always has a value.
#[derive(ApiResponse)]
pub(super) enum Answer<T: Type + ToJSON> {
    /// The requested data.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// A response that has a value or is a 404.
#[derive(ApiResponse)]
pub(super) enum Found<T: Type + ToJSON> {
    /// The requested data.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// No data matches the request; `detail` says why.
    #[oai(status = 404, content_type = "application/problem+json")]
    Nothing(Json<Problem>),
}

impl<T: Type + ToJSON> Answer<T> {
    pub(super) fn of<U>(answered: Answered<U>, convert: impl FnOnce(U) -> T) -> Self {
        Self::Value(Json(convert(answered.value)), answered.until)
    }
}

impl<T: Type + ToJSON> Found<T> {
    pub(super) fn nothing(detail: impl Into<String>) -> Self {
        Self::Nothing(Json(Problem::not_found(detail)))
    }
}
