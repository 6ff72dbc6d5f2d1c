//! `GET /metrics`, for Prometheus: the metrics of all processes, read from Redis, so that every api process
//! reports the same, and those of this process. During an outage of Redis, only metrics that do not need it.
//! Depends on `history`, `metrics`, `queue` and `store`.

mod known;
mod system;

use std::sync::Arc;

use poem::{Endpoint, Request, endpoint::make};
use prometheus_client::registry::Registry;

use crate::{
    config::Config,
    history::History,
    metrics::{Metrics, collector, process_registry, response},
    queue::Inspector,
    store::Role,
};

/// Everything that a scrape reads.
struct Scraped {
    history: Arc<History>,
    inspector: Inspector,
    metrics: Metrics,
    config: Config,
}

/// Returns the endpoint `GET /metrics`.
pub(super) fn endpoint(
    history: Arc<History>,
    inspector: Inspector,
    metrics: Metrics,
    config: &Config,
) -> impl Endpoint + use<> {
    let scraped = Arc::new(Scraped { history, inspector, metrics, config: config.clone() });
    make(move |request: Request| {
        let scraped = Arc::clone(&scraped);
        async move { response(&request, &scraped.registry().await) }
    })
}

impl Scraped {
    /// Reads the current values of all metrics.
    async fn registry(&self) -> Registry {
        let mut registry = process_registry(Role::Api.name());
        let own = registry.sub_registry_with_prefix("cotiza");
        own.register_collector(Box::new(collector(self.metrics.total(), |is_shared| !is_shared)));
        known::register(own, &self.history, &self.config).await;
        let Ok(server) = self.history.store().server().await else {
            known::gauge(own, "redis_up", system::REDIS_UP, 0.0);
            return registry;
        };
        system::register(own, &server, &self.history, &self.inspector, &self.config).await;
        registry
    }
}
