//! The sources in `/api/status`.

use poem_openapi::Object;

use super::answer::{milliseconds, share};
use crate::{
    config,
    domain::CircuitState,
    store::{Store, StoreError},
};

/// The summary of a source.
#[derive(Debug, Object)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Whether requests are sent to it.
    pub enabled: bool,
    /// The worst state of its circuit breakers in all running workers.
    pub state: CircuitState,
    /// The median latency of its last 1000 answers, in milliseconds; null without answers.
    pub latency_p50_ms: Option<f64>,
    /// Its share of the samples whose source is known, from 0 to 1; null without samples.
    pub share: Option<f64>,
    /// Its last error; null if it has never failed.
    pub last_failure: Option<String>,
}

impl SourceSummary {
    /// Whether a worker sends it no requests, or only a trial request, after failures.
    pub(in crate::api) fn is_failing(&self) -> bool {
        matches!(self.state, CircuitState::Open | CircuitState::HalfOpen)
    }
}

/// The summaries of all configured sources.
///
/// # Errors
/// Returns an error if Redis fails.
pub(in crate::api) async fn summaries(
    store: &Store,
    config: &config::Sources,
) -> Result<Vec<SourceSummary>, StoreError> {
    let named = config.in_order();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let reports = store.source_reports(&names).await?;
    let all = reports.iter().map(|report| report.samples).sum();
    let now = store.clock().unix_seconds();
    let summary = |((name, source), report): ((&String, &config::Source), _)| {
        let report: &crate::store::SourceReport = report;
        SourceSummary {
            name: name.clone(),
            enabled: source.enabled,
            state: report.circuit(now).state,
            latency_p50_ms: report.latency(0.5).map(milliseconds),
            share: share(report.samples, all),
            last_failure: report.last_failure.as_ref().map(|failure| failure.text.clone()),
        }
    };
    Ok(named.into_iter().zip(&reports).map(summary).collect())
}
