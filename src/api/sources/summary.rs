//! What the status says of each source.

use poem_openapi::Object;

use super::answer::{State, share};
use crate::{
    config,
    store::{Store, StoreError},
};

/// A source in few words.
#[derive(Debug, Object)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Whether it is asked.
    pub enabled: bool,
    /// The state of its circuit breaker, the worst among the workers that run.
    pub state: State,
    /// The time in which half of its last 1000 answers came, in milliseconds; null of none.
    pub latency_p50_ms: Option<f64>,
    /// Its share in the samples whose source is known, 0 to 1; null where there is none.
    pub share: Option<f64>,
    /// What happened when it failed the last time; null if it has not.
    pub last_failure: Option<String>,
}

impl SourceSummary {
    /// Whether a worker does not ask it, since it has failed.
    pub(in crate::api) fn is_failing(&self) -> bool {
        matches!(self.state, State::Open | State::HalfOpen)
    }
}

/// The sources of a configuration.
///
/// # Errors
/// If Redis fails.
pub(in crate::api) async fn summaries(
    store: &Store,
    config: &config::Sources,
) -> Result<Vec<SourceSummary>, StoreError> {
    let named = config.in_order();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let reports = store.source_reports(&names).await?;
    let all = reports.iter().map(|report| report.counted("samples")).sum();
    let now = store.clock().unix_seconds();
    let summary = |((name, source), report): ((&String, &config::Source), _)| {
        let report: &crate::store::SourceReport = report;
        SourceSummary {
            name: name.clone(),
            enabled: source.enabled,
            state: report.state(now).0,
            latency_p50_ms: report.latency_ms(0.5),
            share: share(report.counted("samples"), all),
            last_failure: report.fields.get("failed").cloned(),
        }
    };
    Ok(named.into_iter().zip(&reports).map(summary).collect())
}
