//! The last price that was recorded: whether it can still be relied on, and the last 24 hours.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{
    Tag,
    error::{ApiError, Problem},
    numbers::{number, percent, pesos, units},
};
use crate::{
    config,
    domain::{Coverage, Observation, Price, Span, Summary, TimeRange, UnixTime},
    history::History,
};

/// The seconds of a day.
pub(super) const DAY: i64 = 24 * 3600;
/// How old the price of 24 hours ago may be by then for a change to be told.
const MAX_AGE: i64 = 3600;

pub(super) struct Latest {
    history: Arc<History>,
    /// The age in seconds from which a price is stale.
    stale_after: i64,
}

/// The answer to a question for the last price.
#[derive(ApiResponse)]
enum LatestAnswer {
    /// The last price.
    #[oai(status = 200, content_type = "application/json")]
    Latest(
        Json<LatestResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// Nothing has been recorded yet.
    #[oai(status = 404, content_type = "application/problem+json")]
    Nothing(Json<Problem>),
}

/// The last price that was recorded, and what was known with it.
#[derive(Debug, Object)]
struct LatestResponse {
    /// When it was observed, in unix seconds (UTC).
    timestamp: i64,
    /// The price of one bitcoin in pesos.
    price: f64,
    /// The name of the source, or several names joined by `+`; null if it is not known.
    source: Option<String>,
    /// What a buyer paid; null if it is not known.
    ask: Option<f64>,
    /// What a seller got; null if it is not known.
    bid: Option<f64>,
    /// The middle of ask and bid; null if one is not known.
    mid: Option<f64>,
    /// The ask less the bid; null if one is not known.
    spread: Option<f64>,
    /// The seconds since it was observed.
    age: i64,
    /// Whether it is so old that something is wrong: older than three slots, or than
    /// `api.stale_after`.
    stale: bool,
    /// The price less that of 24 hours ago; null if none was recorded in the hour before that time.
    change_24h: Option<f64>,
    /// The same as a percentage of the price of 24 hours ago.
    change_percent_24h: Option<f64>,
    /// The highest price of the last 24 hours; null of none.
    high_24h: Option<f64>,
    /// The lowest price of the last 24 hours; null of none.
    low_24h: Option<f64>,
    /// The mean of the prices of the last 24 hours, rounded to 2 decimals; null of none.
    average_24h: Option<f64>,
    /// The share of the slots of the last 24 hours that were recorded, 0 to 1; null if none was
    /// expected.
    coverage_24h: Option<f64>,
}

/// What was recorded in the last 24 hours.
struct Day {
    summary: Summary,
    coverage: Coverage,
    /// The price of 24 hours ago.
    before: Option<Price>,
}

impl Latest {
    pub(super) fn new(history: Arc<History>, config: &config::Config) -> Self {
        Self { history, stale_after: config.stale_after() }
    }

    async fn day(&self, now: i64) -> Result<Day, ApiError> {
        let begin = UnixTime::from_seconds(now - DAY);
        let range = TimeRange::new(Some(begin), None)
            .map_err(|error| ApiError::parameter("since", error.to_string()))?;
        Ok(Day {
            summary: self.history.summary(&range).await?.value,
            coverage: self.history.counted(&range, now).await?.value,
            before: price_of_yesterday(&self.history, now).await?,
        })
    }
}

impl LatestResponse {
    fn new(Observation { sample, provenance }: Observation, day: &Day, now: i64) -> Self {
        let (ask, bid) = provenance.as_ref().map_or((None, None), |from| (from.ask, from.bid));
        let both = ask.zip(bid);
        let difference =
            |one: Price, other: Price| units(one.ten_thousandths() - other.ten_thousandths());
        let extremes = day.summary.extremes;
        let average = (day.summary.count > 0).then(|| day.summary.total().average());
        Self {
            timestamp: sample.timestamp.second(),
            price: pesos(sample.price),
            source: provenance.map(|from| from.source),
            ask: ask.map(pesos),
            bid: bid.map(pesos),
            mid: both.map(|(ask, bid)| pesos(Price::midpoint(ask, bid))),
            spread: both.map(|(ask, bid)| difference(ask, bid)),
            age: (now - sample.timestamp.second()).max(0),
            stale: false,
            change_24h: day.before.map(|before| difference(sample.price, before)),
            change_percent_24h: day.before.map(|before| change_percent(sample.price, before)),
            high_24h: extremes.map(|all| units(all.max)),
            low_24h: extremes.map(|all| units(all.min)),
            average_24h: average.map(number),
            coverage_24h: day.coverage.share(),
        }
    }
}

/// The price of 24 hours before the unix second `now`, if it was recorded shortly before that time.
pub(super) async fn price_of_yesterday(
    history: &History,
    now: i64,
) -> Result<Option<Price>, ApiError> {
    let then = now - DAY;
    let last = history.last_until(UnixTime::from_seconds(then)).await?.value;
    let is_recent = |it: &Observation| then - it.sample.timestamp.second() <= MAX_AGE;
    Ok(last.filter(is_recent).map(|it| it.sample.price))
}

/// The change from a price to another one, as a percentage of the former, to 4 decimals.
pub(super) fn change_percent(price: Price, before: Price) -> f64 {
    let before = before.ten_thousandths();
    percent(price.ten_thousandths() - before, before)
}

#[OpenApi(tag = "Tag::Prices")]
impl Latest {
    /// Latest price
    ///
    /// The last price that was recorded, with its source, ask, bid and age, and what the last 24 hours
    /// came to. With `max_age`, a price that is older is a 503: for callers who must not act on it.
    #[oai(path = "/api/latest", method = "get", operation_id = "latest")]
    async fn latest(
        &self,
        /// The age beyond which the price is not answered.
        max_age: Query<Option<Span>>,
    ) -> Result<LatestAnswer, ApiError> {
        let latest = self.history.latest().await?;
        let Some(observation) = latest.value else {
            return Ok(LatestAnswer::Nothing(Json(Problem::not_found("Nothing is recorded yet."))));
        };
        let now = self.history.now();
        let mut response = LatestResponse::new(observation, &self.day(now).await?, now);
        response.stale = response.age > self.stale_after;
        if let Some(max_age) = max_age.0.map(Span::seconds).filter(|most| response.age > *most) {
            return Err(ApiError::too_old(response.age, max_age));
        }
        Ok(LatestAnswer::Latest(Json(response), latest.until))
    }
}
