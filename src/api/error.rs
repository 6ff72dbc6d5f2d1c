//! Errors as problem details (RFC 9457), whoever raised them.

use poem::{
    IntoResponse as _, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{StatusCode, header},
};
use poem_openapi::{ApiResponse, Object, error::ParseParamError, payload::Json};

use crate::{connection, domain::InvalidPage, history::HistoryError, store::StoreError};

/// Seconds after which a client may try again when Redis is away.
pub(super) const RETRY_AFTER: u64 = 1;

/// What went wrong, as RFC 9457 writes it.
#[derive(Debug, Object)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says which kind of problem it is.
    r#type: String,
    /// The kind of problem in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong with this request, and what would be right.
    detail: String,
    /// The parameter that was wrong.
    #[oai(skip_serializing_if_is_none)]
    parameter: Option<String>,
    /// The same as `detail`, under the name that older clients read.
    error: String,
}

/// The ways in which a request can fail.
#[derive(Debug, ApiResponse)]
pub(super) enum ApiError {
    /// A parameter is missing or wrong.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// Something is broken inside; it has been logged.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Json<Problem>),
    /// It cannot be answered right now: the store cannot be reached, or the last price is too old.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            error: detail.clone(),
            detail,
            parameter: None,
        }
    }

    pub(super) fn of_parameter(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self { parameter: Some(name.to_owned()), ..Self::new(status, detail) }
    }

    /// A page that is not there.
    pub(super) fn invalid_page() -> Self {
        Self::of_parameter(StatusCode::NOT_FOUND, "page", InvalidPage.to_string())
    }

    /// Something that is not there.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Something that is broken inside.
    pub(super) fn internal() -> Self {
        let detail = "Something is broken on our side; it has been logged.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// A store that cannot be reached.
    pub(super) fn unavailable() -> Self {
        Self::unavailable_because("The store cannot be used right now; try again shortly.")
    }

    /// Something that cannot be answered right now.
    pub(super) fn unavailable_because(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    pub(super) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        Json(self).with_status(status).with_content_type("application/problem+json").into_response()
    }
}

impl ApiError {
    /// A parameter that is wrong.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::BadRequest(Json(Problem::of_parameter(StatusCode::BAD_REQUEST, name, detail)))
    }

    /// A price that is older than the caller takes, in seconds.
    pub(super) fn too_old(age: i64, max_age: i64) -> Self {
        let detail = format!("The last price is {age} s old; max_age is {max_age} s.");
        Self::Unavailable(Json(Problem::unavailable_because(detail)), RETRY_AFTER)
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => error.into(),
            HistoryError::Damaged { hour } => {
                tracing::error!(%error, "answered 500");
                let detail = format!(
                    "The recorded prices of the hour from {hour} (unix seconds) are damaged; ranges \
                     that do not include it can be answered."
                );
                Self::Internal(Json(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)))
            }
            // It is so while Redis is away, and shortly after the start.
            error => {
                tracing::debug!(%error, "answered 503");
                Self::Unavailable(Json(Problem::unavailable()), RETRY_AFTER)
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            if connection::is_away(&error) {
                tracing::debug!(%error, "answered 503");
            } else {
                tracing::warn!(%error, "answered 503");
            }
            return Self::Unavailable(Json(Problem::unavailable()), RETRY_AFTER);
        }
        tracing::error!(%error, "answered 500");
        Self::Internal(Json(Problem::internal()))
    }
}

/// Turns whatever poem or poem-openapi refuses into problem details.
pub(super) async fn problem(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return match error.name {
            "page" => Problem::invalid_page(),
            name => Problem::of_parameter(StatusCode::BAD_REQUEST, name, reason(error)),
        }
        .into_response();
    }
    let status = error.status();
    let detail = if error.is::<NotFoundError>() {
        "There is nothing at this path; the documentation is at /docs.".to_owned()
    } else if error.is::<MethodNotAllowedError>() {
        "This method is not allowed here; use GET.".to_owned()
    } else if status.is_server_error() {
        tracing::error!(%error, "answered {status}");
        "Something is broken on our side; it has been logged.".to_owned()
    } else {
        error.to_string()
    };
    let mut response = Problem::new(status, detail).into_response();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, super::conventions::ALLOWED);
    }
    response
}

/// poem-openapi wraps the reason of a parser into the names of its types; users are better
/// served by the reason alone.
fn reason(error: &ParseParamError) -> String {
    let (name, reason) = (error.name, &error.reason);
    if reason.ends_with("expects an input value.") {
        return format!("{name} is required: give a time such as -1h, 1717184864 or 2024-05-31");
    }
    let reason = reason.split_once("\": ").map_or(reason.as_str(), |(_, reason)| reason);
    let reason = reason.split_once(" (occurred while parsing").map_or(reason, |(reason, _)| reason);
    format!("{name}: {reason}")
}
