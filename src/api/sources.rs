//! Who is asked for the price, and how well that goes.

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
    /// Who is asked for the price: whether workers ask it right now, its last answer, how fast and
    /// how often it answers, which of its prices were not believed, and its share of the samples.
    #[oai(path = "/api/sources", method = "get", operation_id = "sources")]
    async fn sources(&self) -> Result<SourcesAnswer, ApiError> {
        let named = self.config.in_order();
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let reports = self.history.store().source_reports(&names).await?;
        let rejected = self.history.store().rejected().await?;
        let all = reports.iter().map(|report| report.counted("samples")).sum();
        let sources = named.into_iter().zip(reports);
        let now = self.history.store().clock().unix_seconds();
        let sources = sources
            .map(|((name, source), report)| answer::of(name, source, &report, &rejected, all, now));
        Ok(SourcesAnswer::Sources(Json(SourcesResponse {
            policy: word(&self.config.policy),
            price: word(&self.config.price),
            sources: sources.collect(),
        })))
    }
}

/// The word that a configuration writes for it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
