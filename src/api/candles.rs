//! Candles: open, high, low, close and mean price of each interval.

mod answer;

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use poem::{Request, http::header};
use poem_openapi::{OpenApi, param::Query};

use self::answer::{CandleList, CandleResponse, CandlesAnswer};
use super::{
    Tag,
    error::ApiError,
    formats::ListBody,
    links::Links,
    listing::links_header,
    params::{self, Fill, Format, Limit},
    proxies::Proxies,
};
use crate::{
    domain::{Candle, Candles as Wanted, Interval, Moment, Order, TimeRange, UnixTime, Zone},
    history::{Answered, History, HistoryError},
};

/// Number of candles that are computed at once for a streamed response.
const BATCH: usize = 1000;

/// Default of the parameter `interval`.
pub(super) const HOURLY: Interval = Interval::Seconds(3600);

pub(super) struct Candles {
    history: Arc<History>,
    proxies: Proxies,
    /// Length of a slot in seconds.
    slot: i64,
}

/// Parameters of a request, already parsed.
#[derive(Debug, Clone, Copy)]
struct CandleQuery {
    range: TimeRange,
    wanted: Wanted,
    with_reasons: bool,
    now: i64,
}

impl Candles {
    pub(super) fn new(history: Arc<History>, proxies: Proxies, slot: i64) -> Self {
        Self { history, proxies, slot }
    }

    /// Returns the newest candles, oldest first.
    async fn newest(&self, query: CandleQuery) -> Result<CandlesAnswer, ApiError> {
        let wanted = Wanted { order: Order::Descending, ..query.wanted };
        let query = CandleQuery { wanted, ..query };
        let Answered { value: (mut results, _), until } = batch(&self.history, &query).await?;
        results.reverse();
        Ok(CandlesAnswer::List(ListBody::json(&CandleList { next: None, results }), until))
    }

    async fn page(&self, query: CandleQuery, request: &Request) -> Result<CandlesAnswer, ApiError> {
        let Answered { value: (results, next), until } = batch(&self.history, &query).await?;
        let links = Links::of(request, &self.proxies);
        let next = next.map(|second| {
            let second = Some(second.to_string());
            match query.wanted.order {
                Order::Ascending => links.with(&[("since", second.as_deref())]),
                Order::Descending => links.with(&[("until", second.as_deref())]),
            }
        });
        let header = links_header([("next", next.clone())]);
        let body = ListBody::json(&CandleList { next, results });
        let body = if header.is_empty() { body } else { body.with_header(header::LINK, &header) };
        Ok(CandlesAnswer::List(body, until))
    }

    /// Streams all candles of the range.
    async fn all(&self, query: CandleQuery, format: Format) -> Result<CandlesAnswer, ApiError> {
        let wanted = Wanted { limit: BATCH, ..query.wanted };
        let query = CandleQuery { wanted, ..query };
        let history = Arc::clone(&self.history);
        let first = batch(&history, &query).await?;
        let until = first.until;
        let (first, next) = first.value;
        let rest = stream::try_unfold(next, move |next| {
            let history = Arc::clone(&history);
            async move {
                let Some(next) = next else { return Ok::<_, HistoryError>(None) };
                let range = rest_of(query.range, next, query.wanted.order);
                let batch = batch(&history, &CandleQuery { range, ..query }).await?;
                Ok(Some(batch.value))
            }
        });
        let body = stream::iter([Ok(first)]).chain(rest);
        let columns = answer::columns(query.with_reasons);
        Ok(CandlesAnswer::List(ListBody::rows(format, columns, body), until))
    }
}

/// Returns the rest of a range from a Unix second on, in the given order.
fn rest_of(range: TimeRange, second: i64, order: Order) -> TimeRange {
    let second = Some(UnixTime::from_seconds(second));
    let part = match order {
        Order::Ascending => TimeRange::new(second, range.until()),
        Order::Descending => TimeRange::new(range.since(), second),
    };
    // Cannot fail: the second lies in the range.
    part.unwrap_or(range)
}

/// Returns up to `wanted.limit` candles, and a Unix second of the next candle if there are more.
async fn batch(
    history: &History,
    query: &CandleQuery,
) -> Result<Answered<(Vec<CandleResponse>, Option<i64>)>, HistoryError> {
    let CandleQuery { range, wanted, with_reasons, now } = query;
    let Answered { value, until } = history.candles(range, wanted, *now).await?;
    let (mut candles, next) = value;
    if *with_reasons {
        history.add_missed_reasons(&mut candles, *now).await?;
    }
    Ok(Answered { value: (rows(&candles, *now), next), until })
}

fn rows(candles: &[Candle], now: i64) -> Vec<CandleResponse> {
    candles.iter().map(|candle| CandleResponse::new(candle, now)).collect()
}

#[OpenApi(tag = "Tag::Prices")]
impl Candles {
    /// Candles
    ///
    /// Returns open, high, low, close and mean price of each interval. Intervals that lie only partly in the
    /// range are returned whole. Intervals without prices are omitted, or with `fill=previous` get the last
    /// price before them. A JSON response has at most `limit` candles and a link to the next ones; without
    /// `since`, in ascending order, it has the newest candles. CSV and NDJSON responses have the whole range.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/candles", method = "get", operation_id = "candles")]
    async fn candles(
        &self,
        request: &Request,
        /// Length of a candle: a number with a unit. Intervals in `s`, `m` and `h` are aligned to the Unix
        /// epoch and must be multiples of a slot (10 s by default). Intervals in `d`, `w` (starting on
        /// Monday) and `M` (months) follow the calendar of `time_zone`. Default: one hour.
        interval: Query<Option<Interval>>,
        /// Start of the range, inclusive; a day begins at midnight in `time_zone`. Default: the first
        /// recorded price; a JSON response in ascending order then has the newest candles.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive; a day ends at midnight in `time_zone`. Default: now.
        until: Query<Option<Moment>>,
        /// Treatment of intervals without prices. `none`: they are omitted; `previous`: they get the last
        /// price before them.
        fill: Query<Option<Fill>>,
        /// Time zone of days, weeks and months: a name of the IANA time zone database. Default: UTC.
        time_zone: Query<Option<Zone>>,
        /// Whether to count the missed slots of each candle by reason. Default: false.
        reasons: Query<Option<bool>>,
        /// Maximum number of candles in a JSON response. Not allowed with CSV and NDJSON.
        limit: Query<Option<Limit>>,
        /// Sort order. `asc`: oldest first; `desc`: newest first.
        order: Query<Option<Order>>,
        /// Format of the response. Default: the format preferred by the `Accept` header, else JSON.
        format: Query<Option<Format>>,
    ) -> Result<CandlesAnswer, ApiError> {
        let now = self.history.now();
        let zone = time_zone.0.unwrap_or(Zone::UTC);
        let interval = interval.0.unwrap_or(HOURLY);
        if let Some(seconds) = interval.seconds().filter(|seconds| seconds % self.slot != 0) {
            let detail = format!(
                "interval: {seconds} s is not a multiple of a slot, which lasts {} s",
                self.slot
            );
            return Err(ApiError::parameter("interval", detail));
        }
        let range = params::range_in(since.0, until.0, now, zone)?;
        let format = Format::of(format.0, request);
        let wanted = Wanted {
            interval,
            zone,
            filled: fill.0 == Some(Fill::Previous),
            order: order.0.unwrap_or_default(),
            limit: limit.0.unwrap_or_default().0,
        };
        let with_reasons = reasons.0.unwrap_or_default();
        let query = CandleQuery { range, wanted, with_reasons, now };
        if format != Format::Json {
            if limit.0.is_some() {
                let detail =
                    "limit: not allowed with CSV and NDJSON, which have the whole range; omit it";
                return Err(ApiError::parameter("limit", detail));
            }
            return self.all(query, format).await;
        }
        if range.since().is_none() && wanted.order == Order::Ascending {
            return self.newest(query).await;
        }
        self.page(query, request).await
    }
}
