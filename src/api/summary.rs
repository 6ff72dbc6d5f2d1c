//! Statistics of the prices of a range.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query};

use super::{
    Tag,
    answer::Answer,
    average_price::HOLD,
    error::ApiError,
    numbers::{micros, number, percent, ten_thousandths_to_pesos},
    params,
};
use crate::{
    domain::{Moment, Point, Span},
    history::{History, Statistics},
};

pub(super) struct Summary {
    history: Arc<History>,
}

/// Statistics of a range. Prices are in pesos per bitcoin.
#[derive(Debug, Object)]
struct SummaryResponse {
    /// Number of samples (recorded prices) in the range.
    count: u64,
    /// Mean of the samples in pesos, rounded half to even to 2 decimals; null if the range has no samples.
    mean: Option<f64>,
    /// Time-weighted mean in pesos, rounded half to even to 2 decimals: each price is valid until the next
    /// one, but at most for `hold`; null if no price was valid in the range.
    time_weighted_mean: Option<f64>,
    /// Share of the range, up to now, in which a price was valid, from 0 to 1; null if the range has no
    /// length.
    covered: Option<f64>,
    /// Population standard deviation of the samples in pesos; null if the range has no samples.
    standard_deviation: Option<f64>,
    /// Lowest price and the time of its first occurrence; null if the range has no samples.
    min: Option<PointResponse>,
    /// Highest price and the time of its first occurrence; null if the range has no samples.
    max: Option<PointResponse>,
    /// First sample; null if the range has no samples.
    first: Option<PointResponse>,
    /// Last sample; null if the range has no samples.
    last: Option<PointResponse>,
    /// Last price minus first price, in pesos; null if the range has no samples.
    change: Option<f64>,
    /// `change` as a percentage of the first price, to 4 decimals; null if the range has no samples.
    change_percent: Option<f64>,
    /// Number of slots that began in the range, from the first slot ever recorded up to the current one.
    expected: u64,
    /// Number of expected slots with a price.
    recorded: u64,
    /// Number of expected slots that ended without a price.
    missed: u64,
}

/// Price at a time.
#[derive(Debug, Object)]
struct PointResponse {
    /// Time at which the price was observed: Unix time in seconds (UTC).
    timestamp: i64,
    /// Price of one bitcoin in pesos.
    price: f64,
}

impl Summary {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

impl From<Point> for PointResponse {
    fn from((timestamp, price): Point) -> Self {
        Self { timestamp: timestamp.second(), price: ten_thousandths_to_pesos(price) }
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
            time_weighted_mean: (all.time_weighted.prices.covered > 0)
                .then(|| number(all.time_weighted.prices.mean())),
            covered: all.time_weighted.share(),
            standard_deviation: all.standard_deviation,
            min: all.lowest.map(Into::into),
            max: all.highest.map(Into::into),
            first: extremes.map(|it| it.first.into()),
            last: extremes.map(|it| it.last.into()),
            change: change.map(|(change, _)| ten_thousandths_to_pesos(change)),
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
    /// Returns statistics of the prices of a range: means, extremes with their times, change, standard
    /// deviation, and the number of slots that were recorded and missed.
    #[oai(path = "/api/summary", method = "get", operation_id = "summary")]
    async fn summary(
        &self,
        /// Start of the range, inclusive. Default: the first recorded price.
        since: Query<Option<Moment>>,
        /// End of the range, inclusive. Default: now.
        until: Query<Option<Moment>>,
        /// Maximum time that a price is valid if no other follows; used for `time_weighted_mean` and
        /// `covered`. Default: one minute.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<SummaryResponse>, ApiError> {
        let now = self.history.now();
        let range = params::range(since.0, until.0, now)?;
        let hold = micros(hold.0.unwrap_or(HOLD));
        let statistics = self.history.statistics(&range, hold, now).await?;
        Ok(Answer::of(statistics, SummaryResponse::from))
    }
}
