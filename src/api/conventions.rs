//! What all answers have in common: a request id, validators and rules for caches, headers for browsers,
//! the access log.

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
/// The methods of all paths.
pub(super) const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Pages bring everything with them, also their scripts, and are shown in no frame.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// An endpoint whose answers follow the conventions.
pub(super) struct Conventions<E> {
    inner: E,
    history: Arc<History>,
    proxies: Proxies,
    paths: KnownPaths,
    metrics: Metrics,
    /// The length of a slot in seconds.
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
        let begun = Instant::now();
        let id = request_id(request.headers());
        let method = request.method().clone();
        known_paths::normalise(&mut request);
        let route = self.paths.route(request.uri().path());
        let asked = Asked {
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
            response = asked.finish(response).await;
        }
        if method == Method::HEAD {
            response = without_body(response);
        }
        let status = response.status();
        let labels = [route, known_method(&method), status.as_str()];
        self.metrics.measure(Metric::HttpRequests, &labels, begun.elapsed());
        if let Some((url, client)) = line {
            let (status, seconds) = (status.as_u16(), begun.elapsed().as_secs_f64());
            let id = id.to_str().unwrap_or_default();
            tracing::info!(%method, url, status, seconds, %client, id, "answered");
        }
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }
}

/// The name of a method, one of few.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// What a request says about caches.
struct Asked {
    rule: caching::Rule,
    /// The versions that the client has.
    known: Vec<HeaderValue>,
    /// Whether the answer depends on the header `Accept`.
    is_negotiated: bool,
}

impl Asked {
    /// Adds the headers that all answers have; answers 304 if the client has this version.
    async fn finish(&self, response: Response) -> Response {
        let mut response = match self.rule {
            caching::Rule::Never => response,
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

/// The id that a client or a proxy has given to a request, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_usable =
        |id: &&HeaderValue| (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain);
    let given = headers.get(REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| {
        let id = format!("{:016x}", fastrand::u64(..));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
    })
}

/// The head of an answer alone.
fn without_body(mut response: Response) -> Response {
    let length = response.header(header::CONTENT_LENGTH).map(str::to_owned);
    response.set_body(Body::empty());
    if let Some(length) = length.and_then(|length| HeaderValue::try_from(length).ok()) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    response
}
