//! The mean price between two times.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{Tag, error::ApiError, number, params};
use crate::{domain::UnixTime, history::History};

pub(super) struct AveragePrice {
    history: Arc<History>,
}

/// The answer to a question for a mean.
#[derive(ApiResponse)]
enum AveragePriceAnswer {
    /// The mean of the prices of the range.
    #[oai(status = 200)]
    Mean(
        Json<AveragePriceResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// The mean of the prices of a range.
#[derive(Debug, Object)]
struct AveragePriceResponse {
    /// The mean price in pesos, rounded to 2 decimals, half to even; 0 if there is no sample.
    average_price: f64,
    /// The number of samples in the range.
    count: u64,
}

impl AveragePrice {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
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
        let total = self.history.total(&range).await?;
        let response = AveragePriceResponse {
            average_price: number(total.value.average()),
            count: total.value.count,
        };
        Ok(AveragePriceAnswer::Mean(Json(response), total.until))
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
