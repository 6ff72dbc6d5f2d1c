//! The endpoints of CriptoYa that have the quotes of a coin, for btc in ars: what each source said last.
//! Fees are not known, so the totals are the prices.

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

/// Refuses what is not known: other coins and currencies, and a volume that is no number above 0.
fn refusal<T: Type + ToJSON>(
    coin: &str,
    fiat: &str,
    volume: &str,
) -> Result<Option<Found<T>>, ApiError> {
    if !coin.eq_ignore_ascii_case("btc") || !fiat.eq_ignore_ascii_case("ars") {
        return Ok(Some(Found::nothing("Invalid pair: there is btc in ars alone.")));
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
    /// What each source that is asked said last.
    #[oai(path = "/api/:coin/:fiat/:volume", method = "get", operation_id = "criptoya_quotes")]
    async fn all(
        &self,
        /// The coin: `btc`.
        coin: Path<String>,
        /// The currency: `ars`.
        fiat: Path<String>,
        /// How much is traded, in bitcoin. It changes nothing, as the sources tell one price.
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
    /// What a source said last.
    #[oai(
        path = "/api/:exchange/:coin/:fiat/:volume",
        method = "get",
        operation_id = "criptoya_quote"
    )]
    async fn one(
        &self,
        /// The name of the source.
        exchange: Path<String>,
        /// The coin: `btc`.
        coin: Path<String>,
        /// The currency: `ars`.
        fiat: Path<String>,
        /// How much is traded, in bitcoin. It changes nothing, as the sources tell one price.
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
        let unknown =
            || Found::nothing("Invalid exchange: no source of this name has said a price.");
        Ok(quote.map_or_else(unknown, |quote| Found::Value(Json(quote), None)))
    }
}
