//! What caches may do with an answer.

use hyper::body::Bytes;
use poem::{
    Body, Request, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use url::form_urlencoded;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::{Interval, Moment, Zone};

/// Seconds after its end at which nothing is recorded in a slot any more.
const SETTLED: i64 = 15;
/// Set on answers that may be outdated.
const KNOWN_UNTIL: HeaderName = HeaderName::from_static("cotiza-known-until");

/// What caches may do with the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing: it is about this moment.
    Never,
    /// Keep it, but ask each time whether it is still right.
    Ask,
    /// Answer it for a while: it is about the past, which only an import changes.
    Keep,
}

impl Rule {
    /// The header `Cache-Control` of an answer.
    pub(super) fn of(self, response: &Response) -> HeaderValue {
        let is_right = [StatusCode::OK, StatusCode::NOT_MODIFIED].contains(&response.status())
            && !response.headers().contains_key(KNOWN_UNTIL);
        HeaderValue::from_static(match self {
            Self::Ask if is_right => "no-cache",
            Self::Keep if is_right => "public, max-age=300",
            _ => "no-store",
        })
    }
}

/// The rule for a request at the unix second `now`.
pub(super) fn rule(request: &Request, now: i64) -> Rule {
    let path = request.uri().path();
    let of_now = ["/health", "/metrics", "/api/stream", "/api/status", "/api/queues", "/api/jobs"];
    if of_now.iter().any(|begin| path.starts_with(begin)) || path.starts_with("/api/processes") {
        return Rule::Never;
    }
    let query = request.uri().query().unwrap_or_default();
    if is_past(query, now) { Rule::Keep } else { Rule::Ask }
}

/// Whether a query asks for a time or a range that has ended.
fn is_past(query: &str, now: i64) -> bool {
    let mut end = None;
    let (mut interval, mut zone) = (None, Zone::UTC);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "until" | "at" | "timestamp" | "to" => {
                let Ok(moment) = value.parse::<Moment>() else { return false };
                // A time relative to now is another one each time.
                if matches!(moment, Moment::Ago(_)) {
                    return false;
                }
                end = Some(moment);
            }
            "since" if value.parse().is_ok_and(|it| matches!(it, Moment::Ago(_))) => return false,
            "interval" => interval = value.parse::<Interval>().ok(),
            "time_zone" => zone = value.parse().unwrap_or(Zone::UTC),
            _ => {}
        }
    }
    end.is_some_and(|end| {
        let last = end.last(now, zone).second();
        // A candle may end later than its range.
        let last = interval.map_or(last, |interval: Interval| {
            interval.end_of(interval.start_of(last, zone), zone)
        });
        last < now - SETTLED
    })
}

/// Whether an answer is sent while it is made.
pub(super) fn is_streamed(response: &Response) -> bool {
    let kind = response.content_type().unwrap_or_default();
    ["text/csv", "application/x-ndjson", "text/event-stream"].iter().any(|it| kind.starts_with(it))
}

/// The answer with the tag of its content; 304 without content if the client has that.
pub(super) async fn tagged(mut response: Response, known: Option<&HeaderValue>) -> Response {
    let body: Bytes = response.take_body().into_bytes().await.unwrap_or_default();
    let tag = format!("W/\"{:016x}\"", xxh3_64(&body));
    let is_known = known.and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').map(str::trim).any(|it| it == "*" || weak(it) == weak(&tag))
    });
    if is_known {
        response.set_status(StatusCode::NOT_MODIFIED);
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        let length = HeaderValue::from(body.len());
        response.headers_mut().insert(header::CONTENT_LENGTH, length);
        response.set_body(Body::from_bytes(body));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A tag without the mark that it may be of an equal content in other bytes.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_717_184_864; // 2024-05-31T19:47:44Z

    #[test]
    fn only_what_has_ended_may_be_kept() {
        for (query, expected) in [
            ("", false),
            ("since=1717000000", false),
            ("since=1717000000&until=1717184800", true),
            ("since=1717000000&until=1717184860", false),
            ("since=1717000000&until=2024-05-30", true),
            ("since=1717000000&until=2024-05-31", false),
            ("since=-1h&until=1717184800", false),
            ("since=1717000000&until=now", false),
            ("timestamp=1717000000", true),
            ("timestamp=-1h", false),
            ("interval=1h&until=1717184800", false),
            ("interval=1h&until=1717181000", true),
            ("interval=1M&until=2024-05-02", false),
            ("interval=1M&until=2024-04-30", true),
            ("until=nonsense", false),
        ] {
            assert_eq!(is_past(query, NOW), expected, "{query}");
        }
    }
}
