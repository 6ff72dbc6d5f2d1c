//! Layers for all responses: compression of large responses, and permission for web pages of other origins to
//! read them (CORS). Depends on nothing.

use std::time::Duration;

use poem::http::{HeaderName, HeaderValue, Method, header};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{And, NotForContentType, Predicate as _, SizeAbove},
    },
    cors::{AllowOrigin, Any, CorsLayer},
};

/// The minimum size of a response that is compressed, in bytes.
const MIN_COMPRESSED_SIZE: u16 = 1024;
/// How long a browser may cache the response to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(24);

/// Response headers that scripts of other origins may read.
const EXPOSED_HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("cotiza-known-until"),
    header::ETAG,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
];

/// Returns a layer that compresses large responses, but not event streams, which compression would delay.
pub(super) fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let large = SizeAbove::new(MIN_COMPRESSED_SIZE).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(large)
}

/// Returns a layer that permits web pages of these origins to read responses; `*` means any origin.
pub(super) fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(PREFLIGHT_MAX_AGE);
    if origins.iter().any(|origin| origin == "*") {
        // The response is the same for all origins.
        return layer.allow_origin(Any).vary(Vec::new());
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins))
}
