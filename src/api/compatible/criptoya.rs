//! CriptoYa's endpoints for the quotes of a coin, for BTC in ARS: the last quote of each source. Fees are
//! unknown, so the totals equal the prices.

use std::{collections::BTreeMap, sync::Arc};

use poem_openapi::{
    Object, OpenApi,
    param::Path,
    payload::Json,
    types::{ToJSON, Type},
};

use crate::{
    api::{Tag, answer::Found, error::ApiError, numbers::pesos},
    config,
    history::History,
    store::SourceReport,
};

pub(in crate::api) struct CriptoYa {
    history: Arc<History>,
    /// The names of the enabled sources.
    names: Vec<String>,
}

/// The last quote of a source, in pesos for one bitcoin.
#[derive(Debug, Object)]
struct QuoteResponse {
    /// The price that a buyer pays.
    ask: f64,
    /// The same as `ask`: fees are unknown.
    #[oai(rename = "totalAsk")]
    total_ask: f64,
    /// The price that a seller receives; null if the source does not report it.
    bid: Option<f64>,
    /// The same as `bid`: fees are unknown.
    #[oai(rename = "totalBid")]
    total_bid: Option<f64>,
    /// The time at which the quote was received, in Unix seconds (UTC).
    time: i64,
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

/// Returns the last quote of a source; `None` if there is none.
fn quote(report: &SourceReport) -> Option<QuoteResponse> {
    let answer = report.last_answer.as_ref()?;
    let (ask, bid) = (pesos(answer.quote.ask), answer.quote.bid.map(pesos));
    Some(QuoteResponse { ask, total_ask: ask, bid, total_bid: bid, time: answer.at })
}

/// Rejects other coins and currencies, and a volume that is not a number above 0.
///
/// # Errors
/// Returns an error if the volume is invalid.
fn refusal<T: Type + ToJSON>(
    coin: &str,
    fiat: &str,
    volume: &str,
) -> Result<Option<Found<T>>, ApiError> {
    if !coin.eq_ignore_ascii_case("btc") || !fiat.eq_ignore_ascii_case("ars") {
        return Ok(Some(Found::nothing("Invalid pair: only btc in ars is available.")));
    }
    if volume.parse().is_ok_and(|volume: f64| volume > 0.0 && volume.is_finite()) {
        return Ok(None);
    }
    let shown: String = volume.chars().take(40).collect();
    let detail = format!("volume: {shown:?} is not a volume: give a number above 0, such as 0.1");
    Err(ApiError::parameter("volume", detail))
}

#[OpenApi(tag = "Tag::Compatible")]
impl CriptoYa {
    /// CriptoYa: all quotes
    ///
    /// Returns the last quote of each enabled source, by its name. Sources without a quote are left out.
    #[oai(path = "/api/:coin/:fiat/:volume", method = "get", operation_id = "criptoya_quotes")]
    async fn all(
        &self,
        /// The coin: `btc`.
        coin: Path<String>,
        /// The currency: `ars`.
        fiat: Path<String>,
        /// The amount to trade, in bitcoin. It does not affect the quote: each source has a single price.
        volume: Path<String>,
    ) -> Result<Found<BTreeMap<String, QuoteResponse>>, ApiError> {
        if let Some(refusal) = refusal(&coin, &fiat, &volume)? {
            return Ok(refusal);
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Ok(Found::Value(Json(self.quotes(&names).await?), None))
    }

    /// CriptoYa: quote of one exchange
    ///
    /// Returns the last quote of an enabled source.
    #[oai(
        path = "/api/:exchange/:coin/:fiat/:volume",
        method = "get",
        operation_id = "criptoya_quote"
    )]
    async fn one(
        &self,
        /// The name of the source, in lower or upper case.
        exchange: Path<String>,
        /// The coin: `btc`.
        coin: Path<String>,
        /// The currency: `ars`.
        fiat: Path<String>,
        /// The amount to trade, in bitcoin. It does not affect the quote: each source has a single price.
        volume: Path<String>,
    ) -> Result<Found<QuoteResponse>, ApiError> {
        if let Some(refusal) = refusal(&coin, &fiat, &volume)? {
            return Ok(refusal);
        }
        let name = self.names.iter().find(|name| name.eq_ignore_ascii_case(&exchange));
        let quote = match name {
            Some(name) => self.quotes(&[name]).await?.remove(name),
            None => None,
        };
        let unknown = || Found::nothing("Invalid exchange: no source with this name has a quote.");
        Ok(quote.map_or_else(unknown, |quote| Found::Value(Json(quote), None)))
    }
}
