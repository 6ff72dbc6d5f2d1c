//! What is answered about the sources, and how it is read out of what the store knows.

use poem_openapi::{ApiResponse, Enum, Object, payload::Json};

use crate::{
    api::numbers::pesos,
    config,
    domain::{CircuitState, Price, Reason},
    store::{Rejected, SourceReport},
};

/// The answer to a question for the sources.
#[derive(ApiResponse)]
pub(super) enum SourcesAnswer {
    /// The sources.
    #[oai(status = 200, content_type = "application/json")]
    Sources(Json<SourcesResponse>),
}

/// Who is asked for the price, and how well that goes.
#[derive(Debug, Object)]
pub(super) struct SourcesResponse {
    /// How one price is made of several sources: `first` or `median`.
    pub(super) policy: String,
    /// Which price is recorded: `ask`, `bid` or `mid`.
    pub(super) price: String,
    /// The sources, those that are asked first in their order.
    pub(super) sources: Vec<SourceResponse>,
}

/// Whether workers ask a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum State {
    /// All workers do.
    Closed,
    /// A worker leaves it alone no more: its next request tells whether it is well again.
    HalfOpen,
    /// A worker leaves it alone after failures, or because it asked for a pause.
    Open,
    /// No worker runs that has it.
    Unknown,
}

/// A source.
#[derive(Debug, Object)]
pub(super) struct SourceResponse {
    /// Its name.
    name: String,
    /// Whether it is asked.
    enabled: bool,
    /// Lower ones are asked first.
    order: u32,
    /// How much its price counts in the median.
    weight: u32,
    /// The state of its circuit breaker, the worst among the workers that run.
    state: State,
    /// The unix second until which it is left alone, after failures or because it asked for that
    /// (status 429 or 503 with Retry-After); else null.
    open_until: Option<i64>,
    /// Its last answer, or null.
    last_answer: Option<AnswerResponse>,
    /// Its last failure, or null.
    last_failure: Option<FailureResponse>,
    /// The time in which half of its last 1000 answers came, in milliseconds; null of none.
    latency_p50_ms: Option<f64>,
    /// The time in which 99 of 100 of its last 1000 answers came, in milliseconds; null of none.
    latency_p99_ms: Option<f64>,
    /// Answers among its last 1000 requests, 0 to 1; null of none.
    success_share: Option<f64>,
    /// All requests that were answered with a price.
    answered: u64,
    /// All requests that failed, by reason.
    failed: FailuresResponse,
    /// Samples that are from it.
    samples: u64,
    /// Its share in the samples whose source is known, 0 to 1; null where there is none.
    share: Option<f64>,
    /// Its prices that were not believed, the last ones first, of the last 100 of all sources.
    rejected: Vec<RejectedResponse>,
}

/// What a source said.
#[derive(Debug, Object)]
struct AnswerResponse {
    /// When, in unix seconds.
    timestamp: i64,
    /// What a buyer pays, in pesos.
    ask: f64,
    /// What a seller gets; null where it does not tell.
    bid: Option<f64>,
    /// How long it took, in milliseconds.
    latency_ms: f64,
}

/// How a request failed.
#[derive(Debug, Object)]
struct FailureResponse {
    /// When, in unix seconds.
    timestamp: i64,
    /// What happened.
    reason: String,
}

/// Failed requests by reason.
#[derive(Debug, Object)]
struct FailuresResponse {
    /// No answer in time.
    exchange_timeout: u64,
    /// It could not be reached, or answered with an error.
    exchange_error: u64,
    /// It answered something that is no price.
    bad_answer: u64,
    /// It answered a price that was not believed.
    price_rejected: u64,
}

/// A price that was not believed.
#[derive(Debug, Object)]
struct RejectedResponse {
    /// When it was seen, in unix seconds.
    timestamp: i64,
    /// The price in pesos.
    price: Option<f64>,
    /// Why it was not believed.
    reason: String,
}

impl SourceReport {
    /// Something that is counted; 0 where nothing was.
    pub(in crate::api) fn counted(&self, field: &str) -> u64 {
        self.fields.get(field).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The worst state of all workers at the unix second `now`, and until when it lasts.
    pub(super) fn state(&self, now: i64) -> (State, Option<i64>) {
        let until = self.circuits.iter().filter_map(|circuit| match circuit {
            CircuitState::Open(until) => Some(*until),
            _ => None,
        });
        match until.max() {
            // Workers tell it every two seconds only.
            Some(until) if until <= now => (State::HalfOpen, None),
            Some(until) => (State::Open, Some(until)),
            None if self.circuits.contains(&CircuitState::HalfOpen) => (State::HalfOpen, None),
            None if self.circuits.is_empty() => (State::Unknown, None),
            None => (State::Closed, None),
        }
    }

    /// The milliseconds in which that share of the last answers came.
    pub(in crate::api) fn latency_ms(&self, share: f64) -> Option<f64> {
        let answered = self.attempts.iter().filter(|(_, answered)| *answered);
        let mut micros: Vec<u64> = answered.map(|(micros, _)| *micros).collect();
        micros.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 1000 of them"
        )]
        let at = (micros.len() as f64 * share) as usize;
        micros.get(at.min(micros.len().saturating_sub(1))).map(|micros| milliseconds(*micros))
    }

    fn price(&self, field: &str) -> Option<f64> {
        self.fields.get(field)?.parse::<Price>().ok().map(pesos)
    }

    fn second(&self, field: &str) -> Option<i64> {
        self.fields.get(field)?.parse().ok()
    }

    fn last_answer(&self) -> Option<AnswerResponse> {
        Some(AnswerResponse {
            timestamp: self.second("last_at")?,
            ask: self.price("last_ask")?,
            bid: self.price("last_bid"),
            latency_ms: milliseconds(self.counted("last_micros")),
        })
    }

    fn last_failure(&self) -> Option<FailureResponse> {
        let reason = self.fields.get("failed")?.clone();
        Some(FailureResponse { timestamp: self.second("failed_at")?, reason })
    }

    fn failures(&self) -> FailuresResponse {
        let counted = |reason: Reason| self.counted(reason.name());
        FailuresResponse {
            exchange_timeout: counted(Reason::ExchangeTimeout),
            exchange_error: counted(Reason::ExchangeError),
            bad_answer: counted(Reason::BadAnswer),
            price_rejected: counted(Reason::PriceRejected),
        }
    }
}

impl From<&Rejected> for RejectedResponse {
    fn from(rejected: &Rejected) -> Self {
        Self {
            timestamp: rejected.timestamp,
            price: rejected.price.parse::<Price>().ok().map(pesos),
            reason: rejected.reason.clone(),
        }
    }
}

/// The response for one source at the unix second `now`. `all_samples` is the number of samples of all
/// sources.
pub(super) fn of(
    name: &str,
    source: &config::Source,
    report: &SourceReport,
    rejected: &[Rejected],
    all_samples: u64,
    now: i64,
) -> SourceResponse {
    let (state, open_until) = report.state(now);
    let answers = report.attempts.iter().filter(|(_, answered)| *answered).count();
    let samples = report.counted("samples");
    SourceResponse {
        name: name.to_owned(),
        enabled: source.enabled,
        order: source.order,
        weight: source.weight,
        state,
        open_until,
        last_answer: report.last_answer(),
        last_failure: report.last_failure(),
        latency_p50_ms: report.latency_ms(0.5),
        latency_p99_ms: report.latency_ms(0.99),
        success_share: share(answers as u64, report.attempts.len() as u64),
        answered: report.counted("answered"),
        failed: report.failures(),
        samples,
        share: share(samples, all_samples),
        rejected: rejected.iter().filter(|one| one.source == name).map(Into::into).collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
