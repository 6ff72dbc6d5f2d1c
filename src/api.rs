//! The REST API: one file per resource, with its handlers and its response types.
//!
//! May use the domain, the configuration, the history, the store and the queue. The `///` comments of
//! handlers, parameters and response types are published in the OpenAPI document, so they are written for
//! users of the API.

mod admission;
mod answer;
mod average_price;
mod caching;
mod candles;
mod chart;
mod compatible;
mod conventions;
mod coverage;
mod described;
mod documentation;
mod error;
mod formats;
mod health;
mod known_parameters;
mod known_paths;
mod latest;
mod links;
mod listing;
mod metrics;
mod numbers;
mod operation;
mod page;
mod params;
mod price;
mod proxies;
mod sources;
mod stream;
mod summary;
mod ticker_list;
mod ticker_price;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, IntoEndpoint, get};
use poem_openapi::{OpenApiService, Tags};

pub use operation::{
    JobResponse, ProcessListResponse, ProcessResponse, QueueListResponse, QueueResponse,
    StatusResponse, job_page, processes, queues, status,
};

use crate::{config::Config, history::History, metrics::Metrics, queue::Inspector};

/// Groups of operations in the documentation.
#[derive(Debug, Tags)]
enum Tag {
    /// Prices of one bitcoin in Argentine pesos (ARS).
    Prices,
    /// Recorded slots, missed slots and the reasons why they were missed.
    Coverage,
    /// Sources of the price: their status, latency and failures.
    Sources,
    /// Operation of Cotiza: status, queues, jobs and processes.
    Operation,
    /// Liveness and readiness of the service.
    Health,
    /// Endpoints that are compatible with the price APIs of CoinGecko and CriptoYa, for their clients.
    Compatible,
}

type Resources = (
    latest::Latest,
    average_price::AveragePrice,
    ticker_list::TickerList,
    ticker_price::TickerPrice,
    price::PriceAt,
    candles::Candles,
    summary::Summary,
    chart::Charts,
    stream::Stream,
    coverage::Coverage,
    sources::Sources,
    operation::Operation,
    health::Health,
    compatible::CoinGecko,
    compatible::CriptoYa,
);

/// Returns all routes of the API, the page at `/`, the runbook at `/help`, the metrics at `/metrics`, and
/// the documentation at `/docs`, `/openapi.json` and `/openapi.yaml`. `metrics` are those of this process.
pub fn routes(
    history: Arc<History>,
    inspector: &Inspector,
    metrics: Metrics,
    config: &Config,
) -> impl Endpoint + use<> {
    let admission = Arc::new(admission::Admission::from(&config.api));
    let parameters = Arc::new(known_parameters::KnownParameters::of::<Resources>());
    let scraped =
        metrics::endpoint(Arc::clone(&history), inspector.clone(), metrics.clone(), config);
    let service = || service(Arc::clone(&history), inspector.clone(), config);
    let resources = Arc::new(service().into_endpoint());
    let routes = documentation::routes(service())
        .at("/", get(page::endpoint()))
        .at("/help", get(page::runbook()))
        .at("/metrics", get(scraped))
        .nest_no_strip("/api", Arc::clone(&resources))
        .nest_no_strip("/health", resources)
        .around(move |routes, request| {
            let (admission, parameters) = (Arc::clone(&admission), Arc::clone(&parameters));
            async move {
                admission.check(&request)?;
                parameters.check(&request)?;
                routes.call(request).await
            }
        })
        .catch_all_error(error::problem);
    conventions::Conventions::new(routes, history, metrics, config)
}

/// Returns the OpenAPI document as JSON, without connecting to Redis.
pub fn openapi_json(history: Arc<History>, inspector: Inspector, config: &Config) -> String {
    documentation::json(&service(history, inspector, config))
}

/// Returns the OpenAPI document as YAML, without connecting to Redis.
pub fn openapi_yaml(history: Arc<History>, inspector: Inspector, config: &Config) -> String {
    documentation::yaml(&service(history, inspector, config))
}

fn service(
    history: Arc<History>,
    inspector: Inspector,
    config: &Config,
) -> OpenApiService<Resources, ()> {
    let slot = i64::try_from(config.schedule.every.as_secs()).unwrap_or(i64::MAX);
    let resources = (
        latest::Latest::new(Arc::clone(&history), config),
        average_price::AveragePrice::new(Arc::clone(&history)),
        ticker_list::TickerList::new(Arc::clone(&history), (&config.api).into()),
        ticker_price::TickerPrice::new(Arc::clone(&history)),
        price::PriceAt::new(Arc::clone(&history)),
        candles::Candles::new(Arc::clone(&history), (&config.api).into(), slot),
        summary::Summary::new(Arc::clone(&history)),
        chart::Charts::new(Arc::clone(&history), config, slot),
        stream::Stream::new(Arc::clone(&history), config, slot),
        coverage::Coverage::new(Arc::clone(&history), (&config.api).into()),
        sources::Sources::new(Arc::clone(&history), config.sources.clone()),
        operation::Operation::new(Arc::clone(&history), inspector, config),
        health::Health::new(Arc::clone(&history), config),
        compatible::CoinGecko::new(Arc::clone(&history)),
        compatible::CriptoYa::new(history, &config.sources),
    );
    let service = OpenApiService::new(resources, "Cotiza", env!("CARGO_PKG_VERSION"));
    documentation::described(service, &config.api.public_url)
}
