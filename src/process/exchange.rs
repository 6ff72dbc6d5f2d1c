//! The exchange process: a simulated exchange for machines without internet access. Depends on `config`,
//! `exchange` and `http_server`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::http;
use crate::{
    config::Config,
    exchange::{Behaviour, SimulatedExchange},
    http_server::Limits,
};

/// Serves the simulated exchange until `shutdown`.
///
/// # Errors
/// Returns an error if the address is not available.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let behaviour = Behaviour {
        latency: config.exchange.latency,
        error_rate: config.exchange.error_rate,
        malformed_rate: config.exchange.malformed_rate,
    };
    let exchange = SimulatedExchange::new(behaviour, config.exchange.seed);
    let listen = config.exchange.listen;
    let (routes, limits) = (exchange.routes(), Limits::from(&config.api));
    let no_pages = &[];
    http::serve(
        "the simulated exchange",
        listen,
        limits,
        routes,
        no_pages,
        Duration::ZERO,
        shutdown,
    )
    .await
}
