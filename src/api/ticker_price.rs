//! The price recorded in one second.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query};

use super::{Tag, answer::Answer, error::ApiError, numbers::ten_thousandths_to_pesos};
use crate::{
    domain::{Moment, Zone},
    history::History,
};

pub(super) struct TickerPrice {
    history: Arc<History>,
}

/// Price recorded in one second.
#[derive(Debug, Object)]
struct TickerPriceResponse {
    /// Price of one bitcoin in pesos; null if no price was recorded in that second.
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
    /// Returns the price recorded in exactly the given second, or null. `/api/price/` returns the last price
    /// at or before a time.
    #[oai(path = "/api/ticker-price", method = "get", operation_id = "ticker_price")]
    async fn ticker_price(
        &self,
        /// The second. A fraction is ignored; a day stands for its first second (UTC).
        timestamp: Query<Moment>,
    ) -> Result<Answer<TickerPriceResponse>, ApiError> {
        let second = timestamp.0.first(self.history.now(), Zone::UTC).second();
        let found = self.history.price_at(second).await?;
        Ok(Answer::of(found, |price| TickerPriceResponse {
            price: price.map(ten_thousandths_to_pesos),
        }))
    }
}
