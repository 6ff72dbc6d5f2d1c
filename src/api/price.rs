//! The price at a time: the last price recorded at or before it.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query, payload::Json};

use super::{Tag, answer::Found, error::ApiError, numbers::pesos};
use crate::{
    domain::{Moment, Observation, Span, UnixTime, Zone},
    history::History,
};

/// Default of the parameter `max_age`.
const MAX_AGE: Span = Span::from_seconds(60);

pub(super) struct PriceAt {
    history: Arc<History>,
}

/// Last price recorded at or before a time.
#[derive(Debug, Object)]
struct PriceResponse {
    /// Time at which the price was observed: Unix time in seconds (UTC).
    timestamp: i64,
    /// Age of the price at the requested time, in seconds.
    age: i64,
    /// Price of one bitcoin in pesos.
    price: f64,
    /// Name of the source, or the names of several sources joined by `+`; null if unknown.
    source: Option<String>,
    /// Ask price in pesos, which a buyer paid for one bitcoin; null if unknown.
    ask: Option<f64>,
    /// Bid price in pesos, which a seller received for one bitcoin; null if unknown.
    bid: Option<f64>,
}

impl PriceAt {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

impl PriceResponse {
    fn new(Observation { sample, provenance }: Observation, at: UnixTime) -> Self {
        let (ask, bid) = provenance.as_ref().map_or((None, None), |from| (from.ask, from.bid));
        let timestamp = sample.timestamp.second();
        Self {
            timestamp,
            age: at.second() - timestamp,
            price: pesos(sample.price),
            source: provenance.map(|from| from.source),
            ask: ask.map(pesos),
            bid: bid.map(pesos),
        }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl PriceAt {
    /// Price at a time
    ///
    /// Returns the last price recorded at or before a time, and its age at that time. The response is a 404
    /// if no price exists or if the price is older than `max_age`.
    #[oai(path = "/api/price", method = "get", operation_id = "price")]
    async fn price(
        &self,
        /// The time. A day stands for its first second (UTC).
        at: Query<Moment>,
        /// Maximum age of the price at that time. Default: one minute.
        max_age: Query<Option<Span>>,
    ) -> Result<Found<PriceResponse>, ApiError> {
        let at = at.0.first(self.history.now(), Zone::UTC);
        let max_age = max_age.0.unwrap_or(MAX_AGE).seconds();
        let found = self.history.last_until(at).await?;
        let Some(last) = found.value else {
            return Ok(Found::nothing("No price was recorded at or before that time."));
        };
        let response = PriceResponse::new(last, at);
        if response.age > max_age {
            let (age, timestamp) = (response.age, response.timestamp);
            return Ok(Found::nothing(format!(
                "The last price before that time, observed at {timestamp} (Unix seconds), was \
                 {age} s old; max_age is {max_age} s."
            )));
        }
        Ok(Found::Value(Json(response), found.until))
    }
}
