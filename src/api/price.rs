//! The price at a time: the last one that was recorded until then.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, param::Query, payload::Json};

use super::{Tag, answer::Found, error::ApiError, numbers::pesos};
use crate::{
    domain::{Moment, Observation, Span, UnixTime, Zone},
    history::History,
};

/// How old a price may be, unless told otherwise.
const MAX_AGE: Span = Span::from_seconds(60);

pub(super) struct PriceAt {
    history: Arc<History>,
}

/// The last price that was recorded until a time.
#[derive(Debug, Object)]
struct PriceResponse {
    /// When it was observed, in unix seconds (UTC).
    timestamp: i64,
    /// The seconds from then to the time that was asked for.
    age: i64,
    /// The price of one bitcoin in pesos.
    price: f64,
    /// The name of the source, or several names joined by `+`; null if it is not known.
    source: Option<String>,
    /// What a buyer paid, in pesos; null if it is not known.
    ask: Option<f64>,
    /// What a seller got, in pesos; null if it is not known.
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
    /// The last price that was recorded at or before a time, and how old it was then. 404 if there is
    /// none that is recent enough.
    #[oai(path = "/api/price", method = "get", operation_id = "price")]
    async fn price(
        &self,
        /// The time.
        at: Query<Moment>,
        /// How old the price may be; one minute without it.
        max_age: Query<Option<Span>>,
    ) -> Result<Found<PriceResponse>, ApiError> {
        let at = at.0.first(self.history.now(), Zone::UTC);
        let max_age = max_age.0.unwrap_or(MAX_AGE).seconds();
        let found = self.history.last_until(at).await?;
        let Some(last) = found.value else {
            return Ok(Found::nothing("Nothing was recorded at or before that time."));
        };
        let response = PriceResponse::new(last, at);
        if response.age > max_age {
            let (age, timestamp) = (response.age, response.timestamp);
            return Ok(Found::nothing(format!(
                "The last price before that time was {age} s old, recorded at {timestamp}; max_age is \
                 {max_age} s."
            )));
        }
        Ok(Found::Value(Json(response), found.until))
    }
}
