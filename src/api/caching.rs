//! HTTP caching: `Cache-Control`, `ETag` and conditional requests.

use hyper::body::Bytes;
use poem::{
    Body, Request, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use url::form_urlencoded;
use xxhash_rust::xxh3::xxh3_64;

use super::candles::HOURLY;
use crate::domain::{Interval, Moment, Zone};

/// Seconds after the end of a slot from which nothing more is recorded in it.
const SETTLED: i64 = 15;
/// Header of responses that may be outdated.
const KNOWN_UNTIL: HeaderName = HeaderName::from_static("cotiza-known-until");

/// What caches may do with the response to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Do not store it: it is about the present moment.
    NoStore,
    /// Store it, but revalidate it before each use.
    Revalidate,
    /// Store it and use it for a limited time: it is about the past, which only an import changes.
    Cache,
}

impl Rule {
    /// Returns the header `Cache-Control` of a response.
    pub(super) fn of(self, response: &Response) -> HeaderValue {
        let is_cacheable = [StatusCode::OK, StatusCode::NOT_MODIFIED].contains(&response.status())
            && !response.headers().contains_key(KNOWN_UNTIL);
        HeaderValue::from_static(match self {
            Self::Revalidate if is_cacheable => "no-cache",
            Self::Cache if is_cacheable => "public, max-age=300",
            _ => "no-store",
        })
    }
}

/// Returns the rule for a request at the Unix second `now`; `slot` is the length of a slot in seconds.
pub(super) fn rule(request: &Request, now: i64, slot: i64) -> Rule {
    let path = request.uri().path();
    let present = ["/health", "/metrics", "/api/stream", "/api/status", "/api/queues", "/api/jobs"];
    if present.iter().any(|prefix| path.starts_with(prefix)) || path.starts_with("/api/processes") {
        return Rule::NoStore;
    }
    let query = request.uri().query().unwrap_or_default();
    if is_past(path, query, now, slot) { Rule::Cache } else { Rule::Revalidate }
}

/// Operations about a time or a range, each with the parameter for its end. Charts are excluded: they show
/// whole candles, whose length depends on the width of the chart, so they may end later.
const ENDS: [(&str, &str); 10] = [
    ("/api/average-price", "until"),
    ("/api/candles", "until"),
    ("/api/coverage", "until"),
    ("/api/gaps", "until"),
    ("/api/price", "at"),
    ("/api/summary", "until"),
    ("/api/ticker-average-price", "until"),
    ("/api/ticker-list", "until"),
    ("/api/ticker-price", "timestamp"),
    ("/api/v3/coins/bitcoin/market_chart/range", "to"),
];

/// Returns whether a request is about a time or a range that has ended.
fn is_past(path: &str, query: &str, now: i64, slot: i64) -> bool {
    let Some((_, end_name)) = ENDS.iter().find(|(known, _)| *known == path) else { return false };
    let (mut ends, mut interval, mut zone) = (Vec::new(), None, Zone::UTC);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            name if name == *end_name => {
                let Ok(moment) = value.parse::<Moment>() else { return false };
                // A relative time differs in each request.
                if matches!(moment, Moment::Ago(_)) {
                    return false;
                }
                ends.push(moment);
            }
            "since" if value.parse().is_ok_and(|it| matches!(it, Moment::Ago(_))) => return false,
            "interval" => interval = value.parse::<Interval>().ok(),
            "time_zone" => zone = value.parse().unwrap_or(Zone::UTC),
            _ => {}
        }
    }
    let Some(last) = ends.iter().map(|end| end.last(now, zone).second()).max() else {
        return false;
    };
    // A later end is not past, and its interval could exceed the calendar.
    if last >= now {
        return false;
    }
    let mut end = last + 1;
    if path == "/api/candles" {
        // The last candle may end after the range.
        let interval = interval.unwrap_or(HOURLY);
        end = interval.end_of(interval.start_of(last, zone), zone);
    }
    // The slot of the last second may also end after the range.
    let end = (end - 1).div_euclid(slot) * slot + slot;
    end + SETTLED <= now
}

/// Returns whether the body of a response is streamed.
pub(super) fn is_streamed(response: &Response) -> bool {
    let kind = response.content_type().unwrap_or_default();
    ["text/csv", "application/x-ndjson", "text/event-stream"].iter().any(|it| kind.starts_with(it))
}

/// Adds an `ETag` to a response. Turns it into a 304 without content if the tag is among `known`, the lines
/// of the header `If-None-Match`.
pub(super) async fn tagged(mut response: Response, known: &[HeaderValue]) -> Response {
    let body: Bytes = response.take_body().into_bytes().await.unwrap_or_default();
    let tag = format!("W/\"{:016x}\"", xxh3_64(&body));
    let mut known = known.iter().filter_map(|line| line.to_str().ok());
    let is_known = known
        .any(|line| line.split(',').map(str::trim).any(|it| it == "*" || weak(it) == weak(&tag)));
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

/// Removes the prefix of a weak tag, for weak comparison (RFC 9110, 8.8.3.2).
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_717_184_864; // 2024-05-31T19:47:44Z

    #[track_caller]
    fn check(path: &str, slot: i64, cases: &[(&str, bool)]) {
        for (query, expected) in cases {
            assert_eq!(is_past(path, query, NOW, slot), *expected, "{path}?{query}");
        }
    }

    #[test]
    fn only_requests_about_the_past_are_cached() {
        check(
            "/api/summary",
            10,
            &[
                ("", false),
                ("since=1717000000", false),
                ("since=1717000000&until=1717184839", true),
                ("since=1717000000&until=1717184840", false),
                ("since=1717000000&until=1717184860", false),
                ("since=1717000000&until=9999999999", false),
                ("since=1717000000&until=2024-05-30", true),
                ("since=1717000000&until=2024-05-31", false),
                ("since=-1h&until=1717184800", false),
                ("since=1717000000&until=now", false),
                ("until=nonsense", false),
                ("until=1717000000&until=1717184860", false),
            ],
        );
        check("/api/ticker-price", 10, &[("timestamp=1717000000", true), ("timestamp=-1h", false)]);
        check("/api/price", 10, &[("at=1717000000", true), ("at=now", false)]);
        let range = "/api/v3/coins/bitcoin/market_chart/range";
        check(range, 10, &[("from=1&to=1717000000", true), ("from=1&to=1717184864", false)]);
    }

    #[test]
    fn the_end_of_the_last_candle_counts() {
        check(
            "/api/candles",
            10,
            &[
                ("interval=1h&until=1717184800", false),
                ("interval=1h&until=1717181000", true),
                ("until=1717184800", false),
                ("until=1717181000", true),
                ("interval=1M&until=2024-05-02", false),
                ("interval=1M&until=2024-04-30", true),
                ("interval=1200M&until=9999-12-31", false),
            ],
        );
    }

    #[test]
    fn the_end_of_the_last_slot_counts() {
        // The one-hour slot that contains 19:30 ends at 20:00.
        check("/api/summary", 3600, &[("until=1717183800", false), ("until=1717181999", true)]);
        check("/api/summary", 3600, &[("until=1717182000", false)]);
        check("/api/candles", 3600, &[("interval=1h&until=1717183800", false)]);
    }

    #[test]
    fn parameters_of_other_operations_are_ignored() {
        for path in ["/api/latest", "/api/btc/ars/0.1", "/api/v3/simple/price", "/api/sources"] {
            check(path, 10, &[("timestamp=1700000000&until=2020-01-01&to=1&at=1", false)]);
        }
        let range = "/api/v3/coins/bitcoin/market_chart/range";
        check(range, 10, &[("from=1&to=1717184864&until=2020-01-01", false)]);
        check("/api/chart.svg", 10, &[("", false), ("since=2020-01-01&until=2020-01-02", false)]);
    }
}
