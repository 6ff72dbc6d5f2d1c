//! The mean price of a range.

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

/// Mean price of a range.
#[derive(Debug, Object)]
struct AveragePriceResponse {
    /// Mean price of one bitcoin in pesos, rounded half to even to 2 decimals; 0 if the range has no
    /// samples (with `weight=time`: if no price was valid in it).
    average_price: f64,
    /// Number of samples (recorded prices) in the range.
    count: u64,
    /// Only with `weight=time`: share of the range, up to now, in which a price was valid, from 0 to 1; 0
    /// if the range has no length.
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
            return Err(ApiError::parameter("hold", "hold: requires weight=time"));
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
            average_price: number(weighted.prices.mean()),
            count: weighted.count,
            covered: Some(weighted.share().unwrap_or_default()),
        }))
    }
}

/// Default of the parameter `hold`: how long a price is valid.
pub(super) const HOLD: Span = Span::from_seconds(60);

#[OpenApi(tag = "Tag::Prices")]
impl AveragePrice {
    /// Average price
    ///
    /// Returns the mean of the prices of a range, whose ends are inclusive. With `weight=time`, each price is
    /// weighted by how long it was valid: until the next price, but at most for `hold`. The price that was
    /// valid at the start of the range is included.
    #[oai(path = "/api/average-price", method = "get", operation_id = "average_price")]
    async fn average_price(
        &self,
        /// Start of the range, inclusive.
        since: Query<Moment>,
        /// End of the range, inclusive.
        until: Query<Moment>,
        /// `sample`: all prices have the same weight; `time`: each price is weighted by how long it was
        /// valid.
        weight: Query<Option<Weight>>,
        /// Maximum time that a price is valid if no other follows. Requires `weight=time`. Default: one
        /// minute.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        self.mean(since.0, until.0, weight.0, hold.0).await
    }

    /// Average price (former path)
    ///
    /// Same as `/api/average-price/`, which replaces it.
    #[oai(
        path = "/api/ticker-average-price",
        method = "get",
        operation_id = "ticker_average_price",
        deprecated
    )]
    async fn ticker_average_price(
        &self,
        /// Start of the range, inclusive.
        since: Query<Moment>,
        /// End of the range, inclusive.
        until: Query<Moment>,
        /// `sample`: all prices have the same weight; `time`: each price is weighted by how long it was
        /// valid.
        weight: Query<Option<Weight>>,
        /// Maximum time that a price is valid if no other follows. Requires `weight=time`. Default: one
        /// minute.
        hold: Query<Option<Span>>,
    ) -> Result<Answer<AveragePriceResponse>, ApiError> {
        self.mean(since.0, until.0, weight.0, hold.0).await
    }
}
