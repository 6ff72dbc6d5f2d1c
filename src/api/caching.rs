//! What caches may do with an answer.

use hyper::body::Bytes;
use poem::{
    Body, Request, Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use url::form_urlencoded;
use xxhash_rust::xxh3::xxh3_64;

use super::candles::HOURLY;
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

/// The rule for a request at the unix second `now`; a slot has `slot` seconds.
pub(super) fn rule(request: &Request, now: i64, slot: i64) -> Rule {
    let path = request.uri().path();
    let of_now = ["/health", "/metrics", "/api/stream", "/api/status", "/api/queues", "/api/jobs"];
    if of_now.iter().any(|begin| path.starts_with(begin)) || path.starts_with("/api/processes") {
        return Rule::Never;
    }
    let query = request.uri().query().unwrap_or_default();
    if is_past(path, query, now, slot) { Rule::Keep } else { Rule::Ask }
}

/// Operations about a time or a range, and the parameter that says when it ends. A chart is not among
/// them: it shows whole candles, whose length depends on its width, so it may end later.
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

/// Whether a request asks for a time or a range that has ended.
fn is_past(path: &str, query: &str, now: i64, slot: i64) -> bool {
    let Some((_, end_name)) = ENDS.iter().find(|(known, _)| *known == path) else { return false };
    let (mut ends, mut interval, mut zone) = (Vec::new(), None, Zone::UTC);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            name if name == *end_name => {
                let Ok(moment) = value.parse::<Moment>() else { return false };
                // A time relative to now is another one each time.
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
    // Anything later is not past, and an interval from there might lead out of the calendar.
    if last >= now {
        return false;
    }
    let mut end = last + 1;
    if path == "/api/candles" {
        // A candle may end later than its range.
        let interval = interval.unwrap_or(HOURLY);
        end = interval.end_of(interval.start_of(last, zone), zone);
    }
    // So may the slot that its last second lies in.
    let end = (end - 1).div_euclid(slot) * slot + slot;
    end + SETTLED <= now
}

/// Whether an answer is sent while it is made.
pub(super) fn is_streamed(response: &Response) -> bool {
    let kind = response.content_type().unwrap_or_default();
    ["text/csv", "application/x-ndjson", "text/event-stream"].iter().any(|it| kind.starts_with(it))
}

/// The answer with the tag of its content; 304 without content if that is among the `known` ones, the
/// lines of the header `If-None-Match`.
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

/// A tag without the mark that it may be of an equal content in other bytes.
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
    fn only_what_has_ended_may_be_kept() {
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
    fn a_candle_has_ended_when_all_of_it_has() {
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
    fn a_slot_has_ended_when_all_of_it_has() {
        // The slot of an hour that 19:30 lies in ends at 20:00.
        check("/api/summary", 3600, &[("until=1717183800", false), ("until=1717181999", true)]);
        check("/api/summary", 3600, &[("until=1717182000", false)]);
        check("/api/candles", 3600, &[("interval=1h&until=1717183800", false)]);
    }

    #[test]
    fn parameters_that_an_operation_does_not_have_say_nothing() {
        for path in ["/api/latest", "/api/btc/ars/0.1", "/api/v3/simple/price", "/api/sources"] {
            check(path, 10, &[("timestamp=1700000000&until=2020-01-01&to=1&at=1", false)]);
        }
        let range = "/api/v3/coins/bitcoin/market_chart/range";
        check(range, 10, &[("from=1&to=1717184864&until=2020-01-01", false)]);
        check("/api/chart.svg", 10, &[("", false), ("since=2020-01-01&until=2020-01-02", false)]);
    }
}
