//! The last price that was recorded.

use std::sync::Arc;

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};

use super::{
    Tag,
    error::{ApiError, Problem},
    number, pesos,
};
use crate::{
    domain::{self, Observation, Price},
    history::History,
};

pub(super) struct Latest {
    history: Arc<History>,
}

/// The answer to a question for the last price.
#[derive(ApiResponse)]
enum LatestAnswer {
    /// The last price.
    #[oai(status = 200)]
    Latest(
        Json<LatestResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// Nothing has been recorded yet.
    #[oai(status = 404, content_type = "application/problem+json")]
    Nothing(Json<Problem>),
}

/// The last price that was recorded, and what was known with it.
#[derive(Debug, Object)]
struct LatestResponse {
    /// When it was observed, in unix seconds (UTC).
    timestamp: i64,
    /// The price of one bitcoin in pesos.
    price: f64,
    /// The name of the source, or several names joined by `+`; null if it is not known.
    source: Option<String>,
    /// What a buyer paid.
    ask: Option<f64>,
    /// What a seller got.
    bid: Option<f64>,
    /// The middle of ask and bid.
    mid: Option<f64>,
    /// The ask less the bid.
    spread: Option<f64>,
}

impl Latest {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self { history }
    }
}

impl From<Observation> for LatestResponse {
    fn from(Observation { sample, provenance }: Observation) -> Self {
        let (ask, bid) = provenance.as_ref().map_or((None, None), |from| (from.ask, from.bid));
        let both = ask.zip(bid);
        let spread = |(ask, bid): (Price, Price)| {
            number(domain::pesos(ask.ten_thousandths() - bid.ten_thousandths()))
        };
        Self {
            timestamp: sample.timestamp.second(),
            price: pesos(sample.price),
            source: provenance.map(|from| from.source),
            ask: ask.map(pesos),
            bid: bid.map(pesos),
            mid: both.map(|(ask, bid)| pesos(Price::midpoint(ask, bid))),
            spread: both.map(spread),
        }
    }
}

#[OpenApi(tag = "Tag::Prices")]
impl Latest {
    /// Latest price
    ///
    /// The last price that was recorded, with its source, ask and bid.
    #[oai(path = "/api/latest", method = "get", operation_id = "latest")]
    async fn latest(&self) -> Result<LatestAnswer, ApiError> {
        let latest = self.history.latest().await?;
        Ok(match latest.value {
            Some(observation) => LatestAnswer::Latest(Json(observation.into()), latest.until),
            None => LatestAnswer::Nothing(Json(Problem::not_found("Nothing is recorded yet."))),
        })
    }
}
