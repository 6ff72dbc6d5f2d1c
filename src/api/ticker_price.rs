//! The price at one second.

use poem_openapi::{ApiResponse, Object, OpenApi, param::Query};
use serde::Serialize;

use super::{Tag, error::ApiError, json::Json, pesos};
use crate::{domain::UnixTime, store::Store};

pub(super) struct TickerPrice {
    store: Store,
}

/// The answer to a question for a price.
#[derive(ApiResponse)]
enum TickerPriceAnswer {
    /// The price at that second, or null.
    #[oai(status = 200)]
    Price(Json<TickerPriceResponse>),
}

/// The price at one second.
#[derive(Debug, Object, Serialize)]
struct TickerPriceResponse {
    /// The price of one bitcoin in pesos; null where none was recorded in that second.
    price: Option<f64>,
}

impl TickerPrice {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
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
        let sample = self.store.sample_at(timestamp.0.second()).await?;
        let price = sample.map(|sample| pesos(sample.price));
        Ok(TickerPriceAnswer::Price(Json(TickerPriceResponse { price })))
    }
}
