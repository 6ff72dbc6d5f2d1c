//! The response of `/api/sources`.

use std::time::Duration;

use poem_openapi::{ApiResponse, Object, payload::Json};

use crate::{
    api::numbers::pesos,
    config,
    domain::{CircuitState, Price},
    store::{LastAnswer, LastFailure, RejectedPrice, SourceReport},
};

/// The responses of the operation.
#[derive(ApiResponse)]
pub(super) enum SourcesAnswer {
    /// The sources.
    #[oai(status = 200, content_type = "application/json")]
    Sources(Json<SourcesResponse>),
}

/// The sources of the price.
#[derive(Debug, Object)]
pub(super) struct SourcesResponse {
    /// How one price is selected from several sources: `first` or `median`.
    pub(super) policy: String,
    /// Which price is recorded: `ask`, `bid` or `mid`.
    pub(super) price: String,
    /// The sources; enabled ones first, in the order in which they are queried.
    pub(super) sources: Vec<SourceResponse>,
}

/// A source.
#[derive(Debug, Object)]
pub(super) struct SourceResponse {
    /// Its name.
    name: String,
    /// Whether requests are sent to it.
    enabled: bool,
    /// Its position in the order of requests: lower ones are queried first.
    order: u32,
    /// The weight of its price in the median.
    weight: u32,
    /// The worst state of its circuit breakers in all running workers.
    state: CircuitState,
    /// The unix second until which no requests are sent to it, after repeated failures or because it asked
    /// for a pause (status 429 or 503 with Retry-After); null if its circuit is not open.
    open_until: Option<i64>,
    /// Its last answer; null if it has never answered.
    last_answer: Option<AnswerResponse>,
    /// Its last failure; null if it has never failed.
    last_failure: Option<FailureResponse>,
    /// The median latency of its last 1000 answers, in milliseconds; null without answers.
    latency_p50_ms: Option<f64>,
    /// The 99th percentile of the latency of its last 1000 answers, in milliseconds; null without answers.
    latency_p99_ms: Option<f64>,
    /// The share of its last 1000 requests that were answered, from 0 to 1; null without requests.
    success_share: Option<f64>,
    /// The number of all requests that were answered with a price.
    answered: u64,
    /// The numbers of all requests that failed, by reason.
    failed: FailuresResponse,
    /// The number of samples from this source.
    samples: u64,
    /// Its share of the samples whose source is known, from 0 to 1; null without samples.
    share: Option<f64>,
    /// Its rejected prices, newest first, among the last 100 rejected prices of all sources.
    rejected: Vec<RejectedResponse>,
}

/// An answer of a source.
#[derive(Debug, Object)]
struct AnswerResponse {
    /// When it arrived, in unix seconds.
    timestamp: i64,
    /// The ask price in pesos, which a buyer pays.
    ask: f64,
    /// The bid price in pesos, which a seller receives; null if the source does not report it.
    bid: Option<f64>,
    /// How long the request took, in milliseconds.
    latency_ms: f64,
}

/// A failed request.
#[derive(Debug, Object)]
struct FailureResponse {
    /// When it failed, in unix seconds.
    timestamp: i64,
    /// What happened.
    reason: String,
}

/// Failed requests by reason.
#[derive(Debug, Object)]
struct FailuresResponse {
    /// There was no answer in time.
    exchange_timeout: u64,
    /// The source could not be reached, or answered with an error status.
    exchange_error: u64,
    /// The source answered, but not with a price.
    bad_answer: u64,
    /// The source answered with a price that was rejected as implausible.
    price_rejected: u64,
}

/// A rejected price.
#[derive(Debug, Object)]
struct RejectedResponse {
    /// When the source reported it, in unix seconds.
    timestamp: i64,
    /// The price in pesos; null if it is unreadable.
    price: Option<f64>,
    /// Why it was rejected.
    reason: String,
}

impl From<&LastAnswer> for AnswerResponse {
    fn from(answer: &LastAnswer) -> Self {
        Self {
            timestamp: answer.at,
            ask: pesos(answer.quote.ask),
            bid: answer.quote.bid.map(pesos),
            latency_ms: milliseconds(answer.took),
        }
    }
}

impl From<&LastFailure> for FailureResponse {
    fn from(failure: &LastFailure) -> Self {
        Self { timestamp: failure.at, reason: failure.text.clone() }
    }
}

impl From<&SourceReport> for FailuresResponse {
    fn from(report: &SourceReport) -> Self {
        let [exchange_timeout, exchange_error, bad_answer, price_rejected] = report.failed;
        Self { exchange_timeout, exchange_error, bad_answer, price_rejected }
    }
}

impl From<&RejectedPrice> for RejectedResponse {
    fn from(rejected: &RejectedPrice) -> Self {
        Self {
            timestamp: rejected.timestamp,
            price: rejected.price.parse::<Price>().ok().map(pesos),
            reason: rejected.reason.clone(),
        }
    }
}

/// The response for one source at the unix second `now`. `all_samples` is the number of samples of all
/// sources.
pub(super) fn source(
    name: &str,
    source: &config::Source,
    report: &SourceReport,
    rejected: &[RejectedPrice],
    all_samples: u64,
    now: i64,
) -> SourceResponse {
    let circuit = report.circuit(now);
    let answered = report.attempts.iter().filter(|(_, is_answered)| *is_answered).count();
    SourceResponse {
        name: name.to_owned(),
        enabled: source.enabled,
        order: source.order,
        weight: source.weight,
        state: circuit.state,
        open_until: circuit.open_until,
        last_answer: report.last_answer.as_ref().map(Into::into),
        last_failure: report.last_failure.as_ref().map(Into::into),
        latency_p50_ms: report.latency(0.5).map(milliseconds),
        latency_p99_ms: report.latency(0.99).map(milliseconds),
        success_share: share(answered as u64, report.attempts.len() as u64),
        answered: report.answered,
        failed: report.into(),
        samples: report.samples,
        share: share(report.samples, all_samples),
        rejected: rejected.iter().filter(|one| one.source == name).map(Into::into).collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
