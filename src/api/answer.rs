//! Answers of one object, as most resources give them.

use poem_openapi::{
    ApiResponse,
    payload::Json,
    types::{ToJSON, Type},
};

use super::error::Problem;
use crate::history::Known;

/// An answer that there always is.
#[derive(ApiResponse)]
pub(super) enum Answer<T: Type + ToJSON> {
    /// The answer.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// An answer that there may not be.
#[derive(ApiResponse)]
pub(super) enum Found<T: Type + ToJSON> {
    /// The answer.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// There is nothing to answer; the detail says why.
    #[oai(status = 404, content_type = "application/problem+json")]
    Nothing(Json<Problem>),
}

impl<T: Type + ToJSON> Answer<T> {
    pub(super) fn of<U>(known: Known<U>, answer: impl FnOnce(U) -> T) -> Self {
        Self::Value(Json(answer(known.value)), known.until)
    }
}

impl<T: Type + ToJSON> Found<T> {
    pub(super) fn nothing(detail: impl Into<String>) -> Self {
        Self::Nothing(Json(Problem::not_found(detail)))
    }
}
