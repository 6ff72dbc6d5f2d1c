//! The mean price between two times.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query};

use super::{
    Tag,
    answer::Answer,
    error::ApiError,
    numbers::{micros, number},
    params::{self, Weight},
};
use crate::{
    domain::{Moment, Span, TimeRange},
    history::History,
};

pub(super) struct AveragePrice {
    history: Arc<History>,
}

/// The mean of the prices of a range.
#[derive(Debug, Object)]
struct AveragePriceResponse {
    /// The mean price in pesos, rounded to 2 decimals, half to even; 0 if there is no sample.
    average_price: f64,
    /// The number of samples in the range.
    count: u64,
    /// With `weight=time`: the share of the range, up to now, in which a price was valid, 0 to 1.
    #[oai(skip_serializing_if_is_none)]
    covered: Option<f64>,
}

impl AveragePrice {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }

    async fn mean(
        &self,
        since: Moment,
        until: Moment,
        weight: Option<Weight>,
        hold: Option<Span>,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        let range = params::range(Some(since), Some(until), self.history.now())?;
        if weight == Some(Weight::Time) {
            return self.mean_by_time(&range, hold.unwrap_or(HOLD)).await;
        }
        if hold.is_some() {
            return Err(ApiError::parameter("hold", "hold: it needs weight=time"));
        }
        let total = self.history.total(&range).await?;
        Ok(Answer::of(total, |total| AveragePriceResponse {
            average_price: number(total.average()),
            count: total.count,
            covered: None,
        }))
    }

    async fn mean_by_time(
        &self,
        range: &TimeRange,
        hold: Span,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        let weighted = self.history.weighted(range, micros(hold), self.history.now()).await?;
        Ok(Answer::of(weighted, |weighted| AveragePriceResponse {
            average_price: number(weighted.held.mean()),
            count: weighted.count,
            covered: Some(weighted.share().unwrap_or_default()),
        }))
    }
}

/// How long a price is valid, unless told otherwise.
pub(super) const HOLD: Span = Span::from_seconds(60);

#[OpenApi(tag = "Tag::Prices")]
impl AveragePrice {
    /// Average price
    ///
    /// The mean of all prices between two times, both inclusive. With `weight=time` each price counts
    /// for as long as it was valid: until the next one, for at most `hold`; also the price that was
    /// valid when the range began.
    #[oai(path = "/api/average-price", method = "get", operation_id = "average_price")]
    async fn average_price(
        &self,
        /// The first moment of the range.
        since: Query<Moment>,
        /// The last moment of the range.
        until: Query<Moment>,
        /// What counts: each sample, or each moment.
        weight: Query<Option<Weight>>,
        /// With `weight=time`, the longest that a price is valid; one minute without it.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        self.mean(since.0, until.0, weight.0, hold.0).await
    }

    /// Average price, by its older name
    ///
    /// The same as `/api/average-price/`.
    #[oai(
        path = "/api/ticker-average-price",
        method = "get",
        operation_id = "ticker_average_price",
        deprecated
    )]
    async fn ticker_average_price(
        &self,
        /// The first moment of the range.
        since: Query<Moment>,
        /// The last moment of the range.
        until: Query<Moment>,
        /// What counts: each sample, or each moment.
        weight: Query<Option<Weight>>,
        /// With `weight=time`, the longest that a price is valid; one minute without it.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        self.mean(since.0, until.0, weight.0, hold.0).await
    }
}
