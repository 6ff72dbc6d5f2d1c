//! What a Prometheus scrapes: all of Cotiza, as it is in Redis, so that any api tells the same; and what
//! this process is. While Redis is away, what is known without it.

mod known;
mod system;

use std::sync::Arc;

use poem::{Endpoint, Request, endpoint::make};
use prometheus_client::registry::Registry;

use crate::{
    config::Config,
    history::History,
    metrics::{Metrics, answer, exposed, of_process},
    queue::Inspector,
    store::Role,
};

/// What a scrape needs.
struct Scraped {
    history: Arc<History>,
    inspector: Inspector,
    metrics: Metrics,
    config: Config,
}

/// `GET /metrics`.
pub(super) fn endpoint(
    history: Arc<History>,
    inspector: Inspector,
    metrics: Metrics,
    config: &Config,
) -> impl Endpoint + use<> {
    let scraped = Arc::new(Scraped { history, inspector, metrics, config: config.clone() });
    make(move |request: Request| {
        let scraped = Arc::clone(&scraped);
        async move { answer(&request, &scraped.registry().await) }
    })
}

impl Scraped {
    async fn registry(&self) -> Registry {
        let mut registry = of_process(Role::Api.name());
        let own = registry.sub_registry_with_prefix("cotiza");
        own.register_collector(Box::new(exposed(self.metrics.total(), |is_shared| !is_shared)));
        known::register(own, &self.history, &self.config).await;
        let Ok(server) = self.history.store().server().await else {
            known::gauge(own, "redis_up", system::REDIS_UP, 0.0);
            return registry;
        };
        system::register(own, &server, &self.history, &self.inspector, &self.config).await;
        registry
    }
}
