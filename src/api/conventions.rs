//! Conventions of all responses: request id, caching headers, security headers, metrics and the access log.

use std::{sync::Arc, time::Instant};

use poem::{
    Body, Endpoint, IntoResponse, Request, Response, Result,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use tracing::Instrument as _;

use super::{
    Resources, caching, formats,
    known_paths::{self, KnownPaths},
    proxies::Proxies,
};
use crate::{
    config,
    history::History,
    metrics::{Metric, Metrics},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Methods allowed on all paths.
pub(super) const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Content Security Policy of pages: their scripts and styles are inline, and they must not be framed.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// An endpoint whose responses follow the conventions.
pub(super) struct Conventions<E> {
    inner: E,
    history: Arc<History>,
    proxies: Proxies,
    paths: KnownPaths,
    metrics: Metrics,
    /// Length of a slot in seconds.
    slot: i64,
    is_logged: bool,
}

impl<E> Conventions<E> {
    pub(super) fn new(
        inner: E,
        history: Arc<History>,
        metrics: Metrics,
        config: &config::Config,
    ) -> Self {
        let (proxies, is_logged) = ((&config.api).into(), config.log.requests);
        let paths = KnownPaths::of::<Resources>();
        let slot = i64::try_from(config.schedule.every.as_secs()).unwrap_or(i64::MAX);
        Self { inner, history, proxies, paths, metrics, slot, is_logged }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Conventions<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let id = request_id(request.headers());
        let method = request.method().clone();
        known_paths::normalise(&mut request);
        let route = self.paths.route(request.uri().path());
        let cache_headers = CacheHeaders {
            rule: caching::rule(&request, self.history.now(), self.slot),
            known: request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
            is_negotiated: formats::is_negotiated(&request),
        };
        let line = self.is_logged.then(|| {
            let url = request.original_uri().path_and_query();
            let url = url.map_or_else(String::new, ToString::to_string);
            (url, self.proxies.client(&request))
        });
        let mut response = if method == Method::OPTIONS {
            StatusCode::NO_CONTENT.with_header(header::ALLOW, ALLOWED).into_response()
        } else {
            if method == Method::HEAD {
                request.set_method(Method::GET);
            }
            let id = id.to_str().unwrap_or_default();
            let span = tracing::info_span!("request", id);
            self.inner.get_response(request).instrument(span).await
        };
        if method != Method::OPTIONS {
            response = cache_headers.apply(response).await;
        }
        if method == Method::HEAD {
            response = without_body(response);
        }
        let status = response.status();
        let labels = [route, known_method(&method), status.as_str()];
        self.metrics.measure(Metric::HttpRequests, &labels, started.elapsed());
        if let Some((url, client)) = line {
            let (status, seconds) = (status.as_u16(), started.elapsed().as_secs_f64());
            let id = id.to_str().unwrap_or_default();
            tracing::info!(%method, url, status, seconds, %client, id, "request completed");
        }
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }
}

/// Returns the label of a method for metrics; a fixed set keeps the number of series small.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The properties of a request that determine the caching headers of its response.
struct CacheHeaders {
    rule: caching::Rule,
    /// Lines of the header `If-None-Match`: the versions that the client has.
    known: Vec<HeaderValue>,
    /// Whether the response depends on the header `Accept`.
    is_negotiated: bool,
}

impl CacheHeaders {
    /// Adds caching and security headers. Returns a 304 if the client has this version.
    async fn apply(&self, response: Response) -> Response {
        let mut response = match self.rule {
            caching::Rule::NoStore => response,
            _ if response.status() != StatusCode::OK || caching::is_streamed(&response) => response,
            _ => caching::tagged(response, &self.known).await,
        };
        let rule = self.rule.of(&response);
        let is_page = response.content_type().is_some_and(|kind| kind.starts_with("text/html"));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, rule);
        if self.is_negotiated {
            headers.append(header::VARY, HeaderValue::from_static("accept"));
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_page {
            headers.insert(header::CONTENT_SECURITY_POLICY, PAGES);
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        response
    }
}

/// Returns the id that the client or a proxy sent with the request, or a new id.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_usable =
        |id: &&HeaderValue| (1..=64).contains(&id.len()) && id.as_bytes().iter().all(is_allowed);
    let given = headers.get(REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| {
        let id = format!("{:016x}", fastrand::u64(..));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
    })
}

/// Removes the body of a response and keeps its headers.
fn without_body(mut response: Response) -> Response {
    let length = response.header(header::CONTENT_LENGTH).map(str::to_owned);
    response.set_body(Body::empty());
    if let Some(length) = length.and_then(|length| HeaderValue::try_from(length).ok()) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response
}
