//! `/api/sources`: the sources of the price and the results of requests to them.

mod answer;
mod summary;

use std::sync::Arc;

use poem_openapi::{OpenApi, payload::Json};

use self::answer::{SourcesAnswer, SourcesResponse};
pub(super) use self::summary::{SourceSummary, summaries};
use super::{Tag, error::ApiError};
use crate::{config, history::History};

pub(super) struct Sources {
    history: Arc<History>,
    config: config::Sources,
}

impl Sources {
    pub(super) fn new(history: Arc<History>, config: config::Sources) -> Self {
        Self { history, config }
    }
}

#[OpenApi(tag = "Tag::Sources")]
impl Sources {
    /// Sources
    ///
    /// Returns for each source the state of its circuit breaker, its last answer and last failure, its
    /// latency and success rate, its rejected prices, and its share of the samples.
    #[oai(path = "/api/sources", method = "get", operation_id = "sources")]
    async fn sources(&self) -> Result<SourcesAnswer, ApiError> {
        let named = self.config.in_order();
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let reports = self.history.store().source_reports(&names).await?;
        let rejected = self.history.store().rejected_prices().await?;
        let all = reports.iter().map(|report| report.samples).sum();
        let sources = named.into_iter().zip(reports);
        let now = self.history.store().clock().unix_seconds();
        let sources = sources.map(|((name, source), report)| {
            answer::source(name, source, &report, &rejected, all, now)
        });
        Ok(SourcesAnswer::Sources(Json(SourcesResponse {
            policy: word(&self.config.policy),
            price: word(&self.config.price),
            sources: sources.collect(),
        })))
    }
}

/// The name of a value in the configuration.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
