//! What is answered about candles.

use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use crate::{
    api::{
        coverage::Reasons,
        formats::ListBody,
        numbers::{number, units},
    },
    domain::Candle,
};

/// The answer to a question for candles.
#[derive(ApiResponse)]
pub(super) enum CandlesAnswer {
    /// Candles as JSON, or all of the range as CSV or NDJSON.
    #[oai(status = 200)]
    List(
        ListBody<CandleList, CandleResponse>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
}

/// Some candles.
#[derive(Debug, Object, Serialize)]
pub(super) struct CandleList {
    /// The address of the candles after these; null if there are none.
    pub(super) next: Option<String>,
    /// The candles, in the order that was asked for.
    pub(super) results: Vec<CandleResponse>,
}

/// What the prices of one interval come to. Prices are in pesos.
#[derive(Debug, Object, Serialize)]
pub(super) struct CandleResponse {
    /// The first second of the interval, in unix seconds (UTC).
    timestamp: i64,
    /// The first price.
    open: f64,
    /// The highest price.
    high: f64,
    /// The lowest price.
    low: f64,
    /// The last price.
    close: f64,
    /// The mean price, rounded to 2 decimals.
    mean: f64,
    /// The number of prices; 0 if the interval was filled.
    count: u64,
    /// The slots that begin in the interval, from the first one ever recorded up to now.
    expected: u64,
    /// Those that ended without a price.
    missed: u64,
    /// Whether the interval has ended.
    complete: bool,
    /// The missed slots by reason, if they were asked for.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Reasons>,
}

/// The names of the columns as CSV.
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
        let [open, high, low, close] = candle.prices().unwrap_or_default().map(units);
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
