//! The mean price between two times.

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query};
use serde::Serialize;

use super::{Tag, error::ApiError, json::Json, number, params};
use crate::{
    domain::UnixTime,
    store::{Aggregate, Store},
};

pub(super) struct AveragePrice {
    store: Store,
}

/// The answer to a question for a mean.
#[derive(ApiResponse)]
enum AveragePriceAnswer {
    /// The mean of the prices of the range.
    #[oai(status = 200)]
    Mean(Json<AveragePriceResponse>),
}

/// The mean of the prices of a range.
#[derive(Debug, Object, Serialize)]
struct AveragePriceResponse {
    /// The mean price in pesos, rounded to 2 decimals, half to even; 0 where there is no sample.
    average_price: f64,
    /// How many samples it is the mean of.
    count: u64,
    /// Set where samples of the range have been trimmed: those are answered from sums over this
    /// many seconds each, so the ends of the range are as coarse.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<u64>,
}

impl AveragePrice {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl AveragePrice {
    /// Average price
    ///
    /// The mean of all prices between two times, both inclusive.
    #[oai(path = "/api/average-price", method = "get", operation_id = "average_price")]
    async fn average_price(
        &self,
        /// The first moment of the range.
        since: Query<UnixTime>,
        /// The last moment of the range.
        until: Query<UnixTime>,
    ) -> Result<AveragePriceAnswer, ApiError> {
        let range = params::range(Some(since.0), Some(until.0))?;
        let Aggregate { summary: total, resolution } = self.store.total(&range).await?;
        Ok(AveragePriceAnswer::Mean(Json(AveragePriceResponse {
            average_price: number(total.average()),
            count: total.count,
            resolution: resolution.map(|length| length.as_secs()),
        })))
    }

    /// Average price, by its older name
    ///
    /// The same as `/api/average-price/`.
    #[oai(
        path = "/api/ticker-average-price",
        method = "get",
        operation_id = "ticker_average_price"
    )]
    async fn ticker_average_price(
        &self,
        /// The first moment of the range.
        since: Query<UnixTime>,
        /// The last moment of the range.
        until: Query<UnixTime>,
    ) -> Result<AveragePriceAnswer, ApiError> {
        self.average_price(since, until).await
    }
}
