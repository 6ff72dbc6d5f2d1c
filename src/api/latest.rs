//! The latest price with its age, and statistics of the last 24 hours.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{
    Tag,
    error::{ApiError, Problem},
    numbers::{number, percent, pesos, ten_thousandths_to_pesos},
};
use crate::{
    config,
    domain::{Coverage, Observation, Price, Span, Summary, TimeRange, UnixTime},
    history::History,
};

/// Length of a day in seconds.
pub(super) const DAY: i64 = 24 * 3600;
/// Maximum age in seconds, 24 hours ago, of the price that the 24-hour change is computed from.
const MAX_AGE: i64 = 3600;

pub(super) struct Latest {
    history: Arc<History>,
    /// Age in seconds above which a price is stale.
    stale_after: i64,
}

/// Response to a request for the latest price.
#[derive(ApiResponse)]
enum LatestAnswer {
    /// The latest price.
    #[oai(status = 200, content_type = "application/json")]
    Latest(
        Json<LatestResponse>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// No price has been recorded yet.
    #[oai(status = 404, content_type = "application/problem+json")]
    Nothing(Json<Problem>),
}

/// Latest price, its provenance, and statistics of the last 24 hours.
#[derive(Debug, Object)]
struct LatestResponse {
    /// Time at which the price was observed: Unix time in seconds (UTC).
    timestamp: i64,
    /// Price of one bitcoin in pesos.
    price: f64,
    /// Name of the source, or the names of several sources joined by `+`; null if unknown.
    source: Option<String>,
    /// Ask price in pesos, which a buyer pays for one bitcoin; null if unknown.
    ask: Option<f64>,
    /// Bid price in pesos, which a seller receives for one bitcoin; null if unknown.
    bid: Option<f64>,
    /// Midpoint of ask and bid in pesos; null if ask or bid is unknown.
    mid: Option<f64>,
    /// Ask minus bid in pesos; null if ask or bid is unknown.
    spread: Option<f64>,
    /// Seconds since the price was observed.
    age: i64,
    /// Whether the price is older than `api.stale_after` (default: three slots), which indicates a
    /// problem.
    stale: bool,
    /// Price minus the price 24 hours ago, in pesos; null if no price was recorded in the hour before
    /// that time.
    change_24h: Option<f64>,
    /// `change_24h` as a percentage of the price 24 hours ago, to 4 decimals; null if `change_24h` is null.
    change_percent_24h: Option<f64>,
    /// Highest price of the last 24 hours in pesos; null if no price was recorded in them.
    high_24h: Option<f64>,
    /// Lowest price of the last 24 hours in pesos; null if no price was recorded in them.
    low_24h: Option<f64>,
    /// Mean of the prices of the last 24 hours in pesos, rounded half to even to 2 decimals; null if no
    /// price was recorded in them.
    average_24h: Option<f64>,
    /// Share of the slots of the last 24 hours that have a price, from 0 to 1; null if no slot was
    /// expected.
    coverage_24h: Option<f64>,
}

/// Statistics of the last 24 hours.
struct Day {
    summary: Summary,
    coverage: Coverage,
    /// Price 24 hours ago.
    before: Option<Price>,
}

impl Latest {
    pub(super) fn new(history: Arc<History>, config: &config::Config) -> Self {
        Self { history, stale_after: config.stale_after() }
    }

    async fn day(&self, now: i64) -> Result<Day, ApiError> {
        let start = UnixTime::from_seconds(now - DAY);
        let range = TimeRange::new(Some(start), None)
            .map_err(|error| ApiError::parameter("since", error.to_string()))?;
        Ok(Day {
            summary: self.history.summary(&range).await?.value,
            coverage: self.history.coverage_without_reasons(&range, now).await?.value,
            before: price_24h_ago(&self.history, now).await?,
        })
    }
}

impl LatestResponse {
    fn new(Observation { sample, provenance }: Observation, day: &Day, now: i64) -> Self {
        let (ask, bid) = provenance.as_ref().map_or((None, None), |from| (from.ask, from.bid));
        let both = ask.zip(bid);
        let difference = |one: Price, other: Price| {
            ten_thousandths_to_pesos(one.ten_thousandths() - other.ten_thousandths())
        };
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
            high_24h: extremes.map(|all| ten_thousandths_to_pesos(all.max)),
            low_24h: extremes.map(|all| ten_thousandths_to_pesos(all.min)),
            average_24h: average.map(number),
            coverage_24h: day.coverage.share(),
        }
    }
}

/// Returns the price 24 hours before the Unix second `now`, if it was at most [`MAX_AGE`] old then.
pub(super) async fn price_24h_ago(history: &History, now: i64) -> Result<Option<Price>, ApiError> {
    let then = now - DAY;
    let last = history.last_until(UnixTime::from_seconds(then)).await?.value;
    let is_recent = |it: &Observation| then - it.sample.timestamp.second() <= MAX_AGE;
    Ok(last.filter(is_recent).map(|it| it.sample.price))
}

/// Returns the change from `before` to `price` as a percentage of `before`, to 4 decimals.
pub(super) fn change_percent(price: Price, before: Price) -> f64 {
    let before = before.ten_thousandths();
    percent(price.ten_thousandths() - before, before)
}

#[OpenApi(tag = "Tag::Prices")]
impl Latest {
    /// Latest price
    ///
    /// Returns the last recorded price with its source, ask, bid and age, and statistics of the last 24
    /// hours. With `max_age`, the response is a 503 if the price is older, for clients that must not use an
    /// old price.
    #[oai(path = "/api/latest", method = "get", operation_id = "latest")]
    async fn latest(
        &self,
        /// Maximum age of the price; an older price is a 503. Default: no limit.
        max_age: Query<Option<Span>>,
    ) -> Result<LatestAnswer, ApiError> {
        let latest = self.history.latest().await?;
        let Some(observation) = latest.value else {
            let problem = Problem::not_found("No price has been recorded yet.");
            return Ok(LatestAnswer::Nothing(Json(problem)));
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
