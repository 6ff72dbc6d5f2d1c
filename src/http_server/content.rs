//! What the server does with all answers: it compresses large ones, and permits web pages of other
//! origins to read them (CORS).

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

/// Answers of at least so many bytes are compressed for clients that can read that.
const COMPRESSED_FROM: u16 = 1024;
/// How long a browser need not ask again whether it may read from here.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Headers that scripts of other origins may read.
const EXPOSED: [HeaderName; 5] = [
    HeaderName::from_static("cotiza-known-until"),
    header::ETAG,
    header::LINK,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
];

/// Compresses what is large, but not events, which must not wait for more of them.
pub(super) fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let large = SizeAbove::new(COMPRESSED_FROM).and(NotForContentType::SSE);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(large)
}

/// Permits web pages of some origins to read; `*` is any origin.
pub(super) fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE);
    if origins.iter().any(|origin| origin == "*") {
        // The same for all origins.
        return layer.allow_origin(Any).vary(Vec::new());
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins))
}
