//! Response types of candles.

use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::{
    api::{
        coverage::Reasons,
        formats::ListBody,
        numbers::{number, ten_thousandths_to_pesos},
    },
    domain::Candle,
};

/// Response to a request for candles.
#[derive(ApiResponse)]
pub(super) enum CandlesAnswer {
    /// Candles: up to `limit` as JSON, or the whole range as CSV or NDJSON.
    #[oai(status = 200)]
    List(
        ListBody<CandleList, CandleResponse>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// List of candles.
#[derive(Debug, Object, Serialize)]
pub(super) struct CandleList {
    /// URL of the next candles; null if there are none.
    pub(super) next: Option<String>,
    /// Candles in the requested order.
    pub(super) results: Vec<CandleResponse>,
}

/// Prices of one interval, in pesos per bitcoin.
#[derive(Debug, Object, Serialize)]
pub(super) struct CandleResponse {
    /// Start of the interval: Unix time in seconds (UTC).
    timestamp: i64,
    /// First price of the interval.
    open: f64,
    /// Highest price of the interval.
    high: f64,
    /// Lowest price of the interval.
    low: f64,
    /// Last price of the interval.
    close: f64,
    /// Mean of the prices, rounded half to even to 2 decimals. In a filled interval, this and the other
    /// prices are the last price before it.
    mean: f64,
    /// Number of prices; 0 if the interval was filled.
    count: u64,
    /// Number of slots that begin in the interval, from the first slot ever recorded up to the current one.
    expected: u64,
    /// Number of expected slots that ended without a price.
    missed: u64,
    /// Whether the interval has ended.
    complete: bool,
    /// Missed slots by reason; present only with `reasons=true`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Reasons>,
}

/// Returns the names of the CSV columns.
pub(super) fn columns(with_reasons: bool) -> Vec<&'static str> {
    let reasons: &[&str] = if with_reasons { &Reasons::COLUMNS } else { &[] };
    let own = [
        "timestamp",
        "open",
        "high",
        "low",
        "close",
        "mean",
        "count",
        "expected",
        "missed",
        "complete",
    ];
    [&own, reasons].concat()
}

impl CandleResponse {
    pub(super) fn new(candle: &Candle, now: i64) -> Self {
        let [open, high, low, close] =
            candle.prices().unwrap_or_default().map(ten_thousandths_to_pesos);
        let Candle { start, end, ref summary, expected, missed, ref reasons, .. } = *candle;
        let mean = if summary.count > 0 { number(summary.total().average()) } else { close };
        Self {
            timestamp: start,
            open,
            high,
            low,
            close,
            mean,
            count: summary.count,
            expected,
            missed,
            complete: end <= now,
            reasons: reasons.as_ref().map(Reasons::from),
        }
    }
}
