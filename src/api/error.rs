//! All errors of the API as problem details (RFC 9457).

use poem::{
    IntoResponse as _, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{StatusCode, header},
};
use poem_openapi::{ApiResponse, Object, error::ParseParamError, payload::Json};

use crate::{connection, domain::InvalidPage, history::HistoryError, store::StoreError};

/// Number of seconds after which a client may retry when Redis is unavailable.
pub(super) const RETRY_AFTER: u64 = 1;

/// Problem details of an error (RFC 9457).
#[derive(Debug, Object)]
pub(super) struct Problem {
    /// Always `about:blank`: the kind of problem is given by `status`.
    r#type: String,
    /// Reason phrase of the HTTP status.
    title: String,
    /// HTTP status code.
    status: u16,
    /// What was wrong with the request, and what is expected instead.
    detail: String,
    /// Name of the invalid parameter; omitted if the problem is not about a parameter.
    #[oai(skip_serializing_if_is_none)]
    parameter: Option<String>,
    /// Same as `detail`, for older clients.
    error: String,
}

/// Error responses that most operations share.
#[derive(Debug, ApiResponse)]
pub(super) enum ApiError {
    /// A parameter is missing, invalid, unknown or given more than once.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// Internal error; it has been logged.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Json<Problem>),
    /// Temporarily unavailable: the store is unreachable, the prices are still being loaded, or the last
    /// price is older than `max_age`.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// Number of seconds after which to retry.
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

    /// Returns the problem of a page that does not exist.
    pub(super) fn invalid_page() -> Self {
        Self::of_parameter(StatusCode::NOT_FOUND, "page", InvalidPage.to_string())
    }

    /// Returns the problem of a resource that does not exist.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Returns the problem of an internal error.
    pub(super) fn internal() -> Self {
        let detail = "Internal error; it has been logged.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Returns the problem of an unavailable store.
    pub(super) fn unavailable() -> Self {
        Self::unavailable_because("The price store is temporarily unavailable; try again shortly.")
    }

    /// Returns the problem of a request that cannot be answered at the moment.
    pub(super) fn unavailable_because(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    pub(super) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        Json(self).with_status(status).with_content_type("application/problem+json").into_response()
    }
}

impl ApiError {
    /// Returns the error of an invalid parameter.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::BadRequest(Json(Problem::of_parameter(StatusCode::BAD_REQUEST, name, detail)))
    }

    /// Returns the error of a price that is older than the client accepts; both ages are in seconds.
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
                tracing::error!(%error, "request failed with status 500");
                let detail = format!(
                    "The recorded prices of the hour from {hour} (Unix seconds) are damaged; use a \
                     range that does not include it."
                );
                Self::Internal(Json(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)))
            }
            // Expected while Redis is unavailable and while the history is loading.
            error => {
                tracing::debug!(%error, "request failed with status 503");
                Self::Unavailable(Json(Problem::unavailable()), RETRY_AFTER)
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            if connection::is_outage(&error) {
                tracing::debug!(%error, "request failed with status 503");
            } else {
                tracing::warn!(%error, "request failed with status 503");
            }
            return Self::Unavailable(Json(Problem::unavailable()), RETRY_AFTER);
        }
        tracing::error!(%error, "request failed with status 500");
        Self::Internal(Json(Problem::internal()))
    }
}

/// Converts errors of poem and poem-openapi into problem details.
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
        "No resource exists at this path; the documentation is at /docs.".to_owned()
    } else if error.is::<MethodNotAllowedError>() {
        "This method is not allowed; use GET.".to_owned()
    } else if status.is_server_error() {
        tracing::error!(%error, "request failed with status {status}");
        "Internal error; it has been logged.".to_owned()
    } else {
        error.to_string()
    };
    let mut response = Problem::new(status, detail).into_response();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, super::conventions::ALLOWED);
    }
    response
}

/// Returns the reason why a parameter could not be parsed, without the type names that poem-openapi adds.
fn reason(error: &ParseParamError) -> String {
    let (name, reason) = (error.name, &error.reason);
    if reason.ends_with("expects an input value.") {
        return format!("{name} is required: give a time such as -1h, 1717184864 or 2024-05-31");
    }
    let reason = reason.split_once("\": ").map_or(reason.as_str(), |(_, reason)| reason);
    let reason = reason.split_once(" (occurred while parsing").map_or(reason, |(reason, _)| reason);
    format!("{name}: {reason}")
}
