//! The processes and commands: each wires the other modules together. Processes run until `shutdown`.

pub mod api;
pub mod doctor;
pub mod exchange;
pub mod healthcheck;
pub mod openapi;
pub mod operator;
pub mod prices;
pub mod scheduler;
pub mod sources;
pub mod up;
pub mod worker;

mod heartbeat;
mod http;
mod metrics;
mod preflight;

use crate::{
    clock::Clock,
    config::Config,
    connection::{self, Server, redacted},
    domain::{Price, PriceFilter, Slots},
    history::{History, Limits, Retention},
    store::Store,
    telemetry::seconds,
};

/// Returns the store on the configured Redis, and the server. The clock starts to follow that of Redis.
fn store(config: &Config) -> anyhow::Result<(Store, Server)> {
    let server = Server::new(config.redis.clone())?;
    let slots = Slots::new(config.schedule.every)?;
    let clock = Clock::following(&server);
    Ok((Store::new(&server, slots, clock), server))
}

/// Returns the response of Redis to a command. If Redis cannot be reached, adds its address and advice to the
/// error.
fn with_advice<T, E: std::error::Error + Send + Sync + 'static>(
    response: Result<T, E>,
    server: &Server,
) -> anyhow::Result<T> {
    response.map_err(|error| {
        let address = server.redacted_url();
        if !connection::is_outage(&error) {
            return error.into();
        }
        let advice = server.advice(&error).unwrap_or("check that it is running");
        let context = format!(
            "cannot reach Redis at {address}: {advice} (--redis-url or REDIS_URL set its address; \
             without them, it is the Redis of the `cotiza up` whose data folder exists; \
             `cotiza doctor` checks more)"
        );
        anyhow::Error::new(error).context(context)
    })
}

/// Logs the start of a process. The line of a worker has the enabled sources, in the order of their use.
fn log_start(role: &'static str, name: &str, config: &Config) {
    let is_worker = role == "worker";
    let sources = is_worker.then(|| {
        let names = config.sources.enabled().into_iter().map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    });
    tracing::info!(
        role,
        version = env!("COTIZA_VERSION"),
        redis = redacted(&config.redis.url),
        sources,
        concurrency = is_worker.then_some(config.worker.concurrency),
        every_s = seconds(config.schedule.every),
        name,
        "the {role} has started"
    );
}

/// Returns the history that the api keeps in memory; it is not loaded yet.
fn history(config: &Config, store: Store) -> anyhow::Result<History> {
    let memory = usize::try_from(config.api.memory.as_u64())?;
    Ok(History::new(store, Limits { memory, stale_for: config.api.stale_for }))
}

/// Returns how long samples are kept.
fn retention(config: &Config) -> Retention {
    Retention { text: config.prices.text, samples: config.prices.keep }
}

/// Returns the filter for implausible prices.
fn price_filter(config: &Config) -> PriceFilter {
    let sources = &config.sources;
    let (lowest, highest) = (Price::from_pesos(sources.lowest), Price::from_pesos(sources.highest));
    PriceFilter::new(lowest, highest, sources.max_jump)
}

/// Returns a name for this process that is unique on all machines: `<host>-<pid>.<random>`. In a container,
/// the process id is always 1 and the host name survives a restart. If a restarted worker had the name of the
/// previous one, its heartbeats would prevent the requeueing of the jobs of the previous one.
fn name() -> String {
    format!("{}-{}.{:08x}", host(), std::process::id(), fastrand::u32(..))
}

/// Returns the name of this machine or container.
fn host() -> String {
    let host = nix::unistd::gethostname().unwrap_or_else(|_| "unknown".into());
    host.to_string_lossy().into_owned()
}
