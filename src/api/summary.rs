//! What the prices of a range come to.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query};

use super::{
    Tag,
    answer::Answer,
    average_price::HOLD,
    error::ApiError,
    numbers::{micros, number, percent, units},
    params,
};
use crate::{
    domain::{Moment, Point, Span},
    history::{History, Statistics},
};

pub(super) struct Summary {
    history: Arc<History>,
}

/// What the prices of a range come to. Prices are in pesos; null of no samples.
#[derive(Debug, Object)]
struct SummaryResponse {
    /// The number of samples.
    count: u64,
    /// The mean of the samples, rounded to 2 decimals.
    mean: Option<f64>,
    /// The mean weighted by time: each price counts until the next one, for at most `hold`; null if no
    /// price was valid.
    time_weighted_mean: Option<f64>,
    /// The share of the range, up to now, in which a price was valid, 0 to 1; null of a range without
    /// length.
    covered: Option<f64>,
    /// The standard deviation of the samples (of the whole population).
    standard_deviation: Option<f64>,
    /// The lowest price and when it was first seen.
    min: Option<PointResponse>,
    /// The highest price and when it was first seen.
    max: Option<PointResponse>,
    /// The first sample.
    first: Option<PointResponse>,
    /// The last sample.
    last: Option<PointResponse>,
    /// The last price less the first one.
    change: Option<f64>,
    /// The same as a percentage of the first price.
    change_percent: Option<f64>,
    /// The slots that began in the range, from the first one ever recorded up to now.
    expected: u64,
    /// Those with a price.
    recorded: u64,
    /// Those that ended without one.
    missed: u64,
}

/// A price and its time.
#[derive(Debug, Object)]
struct PointResponse {
    /// Unix seconds (UTC).
    timestamp: i64,
    /// Pesos.
    price: f64,
}

impl Summary {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

impl From<Point> for PointResponse {
    fn from((timestamp, price): Point) -> Self {
        Self { timestamp: timestamp.second(), price: units(price) }
    }
}

impl From<Statistics> for SummaryResponse {
    fn from(all: Statistics) -> Self {
        let extremes = all.summary.extremes;
        let change = extremes.map(|it| (it.last.1 - it.first.1, it.first.1));
        let coverage = all.coverage;
        Self {
            count: all.summary.count,
            mean: extremes.map(|_| number(all.summary.total().average())),
            time_weighted_mean: (all.held.held.covered > 0).then(|| number(all.held.held.mean())),
            covered: all.held.share(),
            standard_deviation: all.standard_deviation,
            min: all.lowest.map(Into::into),
            max: all.highest.map(Into::into),
            first: extremes.map(|it| it.first.into()),
            last: extremes.map(|it| it.last.into()),
            change: change.map(|(change, _)| units(change)),
            change_percent: change.map(|(change, first)| percent(change, first)),
            expected: coverage.expected,
            recorded: coverage.recorded,
            missed: (coverage.expected - coverage.pending).saturating_sub(coverage.recorded),
        }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl Summary {
    /// Summary
    ///
    /// What the prices of a range come to: means, extremes with their times, change, standard
    /// deviation, and how much of the range was recorded.
    #[oai(path = "/api/summary", method = "get", operation_id = "summary")]
    async fn summary(
        &self,
        /// The first moment of the range; without it, from the beginning.
        since: Query<Option<Moment>>,
        /// The last moment of the range; without it, up to now.
        until: Query<Option<Moment>>,
        /// For the mean weighted by time, the longest that a price is valid; one minute without it.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<SummaryResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let hold = micros(hold.0.unwrap_or(HOLD));
        let statistics = self.history.statistics(&range, hold, now).await?;
        Ok(Answer::of(statistics, SummaryResponse::from))
    }
}
