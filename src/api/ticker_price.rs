//! The price in one second.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query};

use super::{Tag, answer::Answer, error::ApiError, numbers::units};
use crate::{
    domain::{Moment, Zone},
    history::History,
};

pub(super) struct TickerPrice {
    history: Arc<History>,
}

/// The price in one second.
#[derive(Debug, Object)]
struct TickerPriceResponse {
    /// The price of one bitcoin in pesos; null if none was recorded in that second.
    price: Option<f64>,
}

impl TickerPrice {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl TickerPrice {
    /// Price in a second
    ///
    /// The price that was recorded in exactly that second, if one was. `/api/price/` has the last price
    /// before a time.
    #[oai(path = "/api/ticker-price", method = "get", operation_id = "ticker_price")]
    async fn ticker_price(
        &self,
        /// The second.
        timestamp: Query<Moment>,
    ) -> Result<Answer<TickerPriceResponse>, ApiError> {
        let second = timestamp.0.first(self.history.now(), Zone::UTC).second();
        let found = self.history.price_at(second).await?;
        Ok(Answer::of(found, |price| TickerPriceResponse { price: price.map(units) }))
    }
}
