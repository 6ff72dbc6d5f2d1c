//! The endpoints of CriptoYa that have the quotes of a coin, for btc in ars: what each source said last.
//! Fees are not known, so the totals are the prices.

use std::{collections::BTreeMap, sync::Arc};

use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Path,
    payload::{Json, PlainText},
};

use crate::{
    api::{Tag, error::ApiError, pesos},
    config,
    domain::Price,
    history::History,
    store::SourceReport,
};

pub(in crate::api) struct CriptoYa {
    history: Arc<History>,
    /// The sources that are asked.
    names: Vec<String>,
}

/// What a source said last, in pesos.
#[derive(Debug, Object)]
struct QuoteResponse {
    /// What a buyer pays.
    ask: f64,
    /// The same.
    #[oai(rename = "totalAsk")]
    total_ask: f64,
    /// What a seller gets; null if the source does not tell.
    bid: Option<f64>,
    /// The same.
    #[oai(rename = "totalBid")]
    total_bid: Option<f64>,
    /// When it was said, in unix seconds (UTC).
    time: i64,
}

/// The quotes of all sources.
#[derive(ApiResponse)]
enum QuotesAnswer {
    /// The quote of each source, by its name.
    #[oai(status = 200, content_type = "application/json")]
    Quotes(Json<BTreeMap<String, QuoteResponse>>),
    /// The volume is not a number above 0.
    #[oai(status = 400, content_type = "text/plain")]
    Invalid(PlainText<String>),
}

/// The quote of one source.
#[derive(ApiResponse)]
enum QuoteAnswer {
    /// The quote.
    #[oai(status = 200, content_type = "application/json")]
    Quote(Json<QuoteResponse>),
    /// The volume is not a number above 0.
    #[oai(status = 400, content_type = "text/plain")]
    Invalid(PlainText<String>),
    /// There is no such source, or it has not said anything yet.
    #[oai(status = 404, content_type = "text/plain")]
    Unknown(PlainText<String>),
}

impl CriptoYa {
    pub(in crate::api) fn new(history: Arc<History>, sources: &config::Sources) -> Self {
        let enabled = sources.in_order().into_iter().filter(|(_, source)| source.enabled);
        Self { history, names: enabled.map(|(name, _)| name.clone()).collect() }
    }

    async fn quotes(&self, names: &[&str]) -> Result<BTreeMap<String, QuoteResponse>, ApiError> {
        let reports = self.history.store().source_reports(names).await?;
        let named = names.iter().map(|name| (*name).to_owned()).zip(reports);
        Ok(named.filter_map(|(name, report)| Some((name, quote(&report)?))).collect())
    }
}

/// The last quote of a source; `None` if there is none.
fn quote(report: &SourceReport) -> Option<QuoteResponse> {
    let price = |field: &str| report.fields.get(field)?.parse::<Price>().ok().map(pesos);
    let (ask, bid) = (price("last_ask")?, price("last_bid"));
    let time = report.fields.get("last_at")?.parse().ok()?;
    Some(QuoteResponse { ask, total_ask: ask, bid, total_bid: bid, time })
}

/// Whether it is a number above 0.
fn is_volume(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|volume| volume > 0.0 && volume.is_finite())
}

#[OpenApi(tag = "Tag::Compatible")]
impl CriptoYa {
    /// CriptoYa: all quotes
    ///
    /// What each source that is asked said last.
    #[oai(path = "/api/btc/ars/:volume", method = "get", operation_id = "criptoya_quotes")]
    async fn all(
        &self,
        /// How much is traded, in bitcoin. It changes nothing, as the sources tell one price.
        volume: Path<String>,
    ) -> Result<QuotesAnswer, ApiError> {
        if !is_volume(&volume) {
            return Ok(QuotesAnswer::Invalid(PlainText("Invalid volume".to_owned())));
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Ok(QuotesAnswer::Quotes(Json(self.quotes(&names).await?)))
    }

    /// CriptoYa: quote of one exchange
    ///
    /// What a source said last.
    #[oai(
        path = "/api/:exchange/btc/ars/:volume",
        method = "get",
        operation_id = "criptoya_quote"
    )]
    async fn one(
        &self,
        /// The name of the source.
        exchange: Path<String>,
        /// How much is traded, in bitcoin. It changes nothing, as the sources tell one price.
        volume: Path<String>,
    ) -> Result<QuoteAnswer, ApiError> {
        if !is_volume(&volume) {
            return Ok(QuoteAnswer::Invalid(PlainText("Invalid volume".to_owned())));
        }
        let unknown = || QuoteAnswer::Unknown(PlainText("Invalid exchange".to_owned()));
        if !self.names.contains(&exchange) {
            return Ok(unknown());
        }
        let quote = self.quotes(&[exchange.as_str()]).await?.remove(&*exchange);
        Ok(quote.map_or_else(unknown, |quote| QuoteAnswer::Quote(Json(quote))))
    }
}
