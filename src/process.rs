//! The processes: each wires the other rooms together and runs until it is told to stop.

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

mod http;
mod metrics;
mod preflight;
mod presence;

use crate::{
    clock::Clock,
    config::Config,
    connection::{self, Server, shown},
    domain::{Doubt, Price, Slots},
    history::{History, Limits, Retention},
    store::Store,
    telemetry::seconds,
};

/// The configured Redis and the store on it. Its clock is followed from now on.
fn store(config: &Config) -> anyhow::Result<(Store, Server)> {
    let server = Server::new(config.redis.clone())?;
    let slots = Slots::new(config.schedule.every)?;
    let clock = Clock::following(&server);
    Ok((Store::new(&server, slots, clock), server))
}

/// What a command got from Redis; if Redis could not be reached, the error says where it was looked for and
/// what would help.
fn reached<T, E: std::error::Error + Send + Sync + 'static>(
    answer: Result<T, E>,
    server: &Server,
) -> anyhow::Result<T> {
    answer.map_err(|error| {
        let address = server.shown();
        if !connection::is_away(&error) {
            return error.into();
        }
        let advice = server.advice(&error).unwrap_or("is it running?");
        let context = format!(
            "no Redis at {address}: {advice} (--redis-url or REDIS_URL name one; without them it is that of a \
             `cotiza up` whose data folder is here; `cotiza doctor` tells more)"
        );
        anyhow::Error::new(error).context(context)
    })
}

/// The log line that each role begins with; a worker names the sources that it asks, the first one first.
fn log_start(role: &'static str, name: &str, config: &Config) {
    let asks = role == "worker";
    let sources = asks.then(|| {
        let names = config.sources.enabled().into_iter().map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    });
    tracing::info!(
        role,
        version = env!("COTIZA_VERSION"),
        redis = shown(&config.redis.url),
        sources,
        concurrency = asks.then_some(config.worker.concurrency),
        every_s = seconds(config.schedule.every),
        name,
        "the {role} runs"
    );
}

/// The history that the api keeps in memory; not loaded yet.
fn history(config: &Config, store: Store) -> anyhow::Result<History> {
    let memory = usize::try_from(config.api.memory.as_u64())?;
    Ok(History::new(store, Limits { memory, stale_for: config.api.stale_for }))
}

/// How long samples are kept.
fn retention(config: &Config) -> Retention {
    Retention { text: config.prices.text, samples: config.prices.keep }
}

/// Which prices are believed.
fn doubt(config: &Config) -> Doubt {
    let sources = &config.sources;
    let (lowest, highest) = (Price::from_pesos(sources.lowest), Price::from_pesos(sources.highest));
    Doubt::new(lowest, highest, sources.max_jump)
}

/// The name of this process among all on all machines: `<host>-<pid>.<random>`. In a container the
/// process number is always 1 and the host's name outlives a restart; a worker that took the name
/// of the one before it would vouch for jobs that it has never heard of.
fn name() -> String {
    format!("{}-{}.{:08x}", host(), std::process::id(), fastrand::u32(..))
}

/// The name of this machine or container.
fn host() -> String {
    let host = nix::unistd::gethostname().unwrap_or_else(|_| "unknown".into());
    host.to_string_lossy().into_owned()
}
