//! The price at one second.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};

use super::{Tag, error::ApiError, number};
use crate::{
    domain::{UnixTime, pesos},
    history::History,
};

pub(super) struct TickerPrice {
    history: Arc<History>,
}

/// The answer to a question for a price.
#[derive(ApiResponse)]
enum TickerPriceAnswer {
    /// The price at that second, or null.
    #[oai(status = 200)]
    Price(
        Json<TickerPriceResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// The price at one second.
#[derive(Debug, Object)]
struct TickerPriceResponse {
    /// The price of one bitcoin in pesos; null where none was recorded in that second.
    price: Option<f64>,
}

impl TickerPrice {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl TickerPrice {
    /// Price at a second
    ///
    /// The price that was recorded in exactly that second, if one was.
    #[oai(path = "/api/ticker-price", method = "get", operation_id = "ticker_price")]
    async fn ticker_price(
        &self,
        /// The second.
        timestamp: Query<UnixTime>,
    ) -> Result<TickerPriceAnswer, ApiError> {
        let found = self.history.price_at(timestamp.0.second()).await?;
        let price = found.value.map(|price| number(pesos(price)));
        Ok(TickerPriceAnswer::Price(Json(TickerPriceResponse { price }), found.until))
    }
}
