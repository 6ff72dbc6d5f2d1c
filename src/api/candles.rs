//! Candles: what the prices of each interval come to.

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
    history::{History, HistoryError, Known},
};

/// Candles that are made at once for an answer that is streamed.
const BATCH: usize = 1000;

/// What an interval is, unless told otherwise.
pub(super) const HOURLY: Interval = Interval::Seconds(3600);

pub(super) struct Candles {
    history: Arc<History>,
    proxies: Proxies,
    /// The length of a slot in seconds.
    slot: i64,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
struct Question {
    range: TimeRange,
    wanted: Wanted,
    with_reasons: bool,
    now: i64,
}

impl Candles {
    pub(super) fn new(history: Arc<History>, proxies: Proxies, slot: i64) -> Self {
        Self { history, proxies, slot }
    }

    /// The newest candles that there are, oldest first.
    async fn newest(&self, question: Question) -> Result<CandlesAnswer, ApiError> {
        let wanted = Wanted { order: Order::Descending, ..question.wanted };
        let question = Question { wanted, ..question };
        let Known { value: (mut results, _), until } = part(&self.history, &question).await?;
        results.reverse();
        Ok(CandlesAnswer::List(ListBody::json(&CandleList { next: None, results }), until))
    }

    async fn page(&self, question: Question, request: &Request) -> Result<CandlesAnswer, ApiError> {
        let Known { value: (results, next), until } = part(&self.history, &question).await?;
        let links = Links::of(request, &self.proxies);
        let next = next.map(|second| {
            let second = Some(second.to_string());
            match question.wanted.order {
                Order::Ascending => links.with(&[("since", second.as_deref())]),
                Order::Descending => links.with(&[("until", second.as_deref())]),
            }
        });
        let header = links_header([("next", next.clone())]);
        let body = ListBody::json(&CandleList { next, results });
        let body = if header.is_empty() { body } else { body.with_header(header::LINK, &header) };
        Ok(CandlesAnswer::List(body, until))
    }

    /// All candles of the range, made while they are sent.
    async fn all(&self, question: Question, format: Format) -> Result<CandlesAnswer, ApiError> {
        let wanted = Wanted { limit: BATCH, ..question.wanted };
        let question = Question { wanted, ..question };
        let history = Arc::clone(&self.history);
        let first = part(&history, &question).await?;
        let until = first.until;
        let (first, next) = first.value;
        let rest = stream::try_unfold(next, move |next| {
            let history = Arc::clone(&history);
            async move {
                let Some(next) = next else { return Ok::<_, HistoryError>(None) };
                let range = from(question.range, next, question.wanted.order);
                let part = part(&history, &Question { range, ..question }).await?;
                Ok(Some(part.value))
            }
        });
        let body = stream::iter([Ok(first)]).chain(rest);
        let columns = answer::columns(question.with_reasons);
        Ok(CandlesAnswer::List(ListBody::rows(format, columns, body), until))
    }
}

/// The part of a range that is left from a second on.
fn from(range: TimeRange, second: i64, order: Order) -> TimeRange {
    let second = Some(UnixTime::from_seconds(second));
    let part = match order {
        Order::Ascending => TimeRange::new(second, range.until()),
        Order::Descending => TimeRange::new(range.since(), second),
    };
    // The second lies in the range.
    part.unwrap_or(range)
}

/// Some rows of an answer, and a second of the next one.
async fn part(
    history: &History,
    question: &Question,
) -> Result<Known<(Vec<CandleResponse>, Option<i64>)>, HistoryError> {
    let Question { range, wanted, with_reasons, now } = question;
    let Known { value, until } = history.candles(range, wanted, *now).await?;
    let (mut candles, next) = value;
    if *with_reasons {
        history.explain(&mut candles, *now).await?;
    }
    Ok(Known { value: (rows(&candles, *now), next), until })
}

fn rows(candles: &[Candle], now: i64) -> Vec<CandleResponse> {
    candles.iter().map(|candle| CandleResponse::new(candle, now)).collect()
}

#[OpenApi(tag = "Tag::Prices")]
impl Candles {
    /// Candles
    ///
    /// What the prices of each interval come to. Each interval that has a moment of the range in it is
    /// answered as a whole. Intervals without prices are left out, or get the last price before them
    /// with `fill=previous`. JSON has at most `limit` candles and a link to the next ones; without
    /// `since`, it has the newest ones. CSV and NDJSON have all of the range.
    #[allow(clippy::too_many_arguments, reason = "one for each parameter of the request")]
    #[oai(path = "/api/candles", method = "get", operation_id = "candles")]
    async fn candles(
        &self,
        request: &Request,
        /// The length of a candle: a number with a unit. `s`, `m` and `h` are counted from the Unix
        /// epoch; `d`, `w` (from Monday) and `M` (months) are those of the calendar of `time_zone`.
        /// A multiple of the length of a slot; one hour without it.
        interval: Query<Option<Interval>>,
        /// The first moment of the range; without it, so that the newest candles are answered.
        since: Query<Option<Moment>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<Moment>>,
        /// What an interval without prices gets: nothing, or the last price before it.
        fill: Query<Option<Fill>>,
        /// The time zone in which days, weeks and months begin, by its name in the IANA database.
        time_zone: Query<Option<Zone>>,
        /// Whether missed slots are told by reason.
        reasons: Query<Option<bool>>,
        /// The most candles in an answer as JSON.
        limit: Query<Option<Limit>>,
        /// `asc`: oldest first; `desc`: newest first.
        order: Query<Option<Order>>,
        /// The format; without it, the one that the header `Accept` prefers.
        format: Query<Option<Format>>,
    ) -> Result<CandlesAnswer, ApiError> {
        let now = self.history.now();
        let zone = time_zone.0.unwrap_or(Zone::UTC);
        let interval = interval.0.unwrap_or(HOURLY);
        if let Some(seconds) = interval.seconds().filter(|seconds| seconds % self.slot != 0) {
            let detail = format!(
                "interval: {seconds} s are not a multiple of a slot, which has {} s",
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
        let question = Question { range, wanted, with_reasons, now };
        if format != Format::Json {
            if limit.0.is_some() {
                let detail = "limit: CSV and NDJSON have all of the range: leave it out";
                return Err(ApiError::parameter("limit", detail));
            }
            return self.all(question, format).await;
        }
        if range.since().is_none() && wanted.order == Order::Ascending {
            return self.newest(question).await;
        }
        self.page(question, request).await
    }
}
