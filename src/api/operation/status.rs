//! The status of the whole system. May use the configuration, the domain, the history, the queue and the
//! store.

use poem_openapi::Object;

use super::{
    problems::{ProblemResponse, Problems},
    queues::{QueueResponse, queues},
};
use crate::{
    api::{
        coverage::CoverageResponse,
        latest::DAY,
        numbers::{pesos, rounded},
        sources::{SourceSummary, summaries},
    },
    config::{Config, SIMULATED},
    domain::{MissedSlots, Observation, TimeRange, UnixTime},
    history::{Freshness, History},
    queue::Inspector,
    store::{ProcessReport, Role, ServerReport},
};

/// The status of the whole system.
#[derive(Debug, Object)]
pub struct StatusResponse {
    /// Time of the response, in Unix seconds (UTC).
    pub now: i64,
    /// Version of the API process, with the commit.
    pub version: String,
    /// Whether the prices come from the simulated exchange.
    pub simulated: bool,
    /// Current problems; empty if there are none.
    pub problems: Vec<ProblemResponse>,
    /// Last price; null if no price has been recorded yet or the last one is unknown at the moment.
    pub price: Option<StatusPrice>,
    /// Coverage of the last 24 hours; null if it is unknown at the moment. While Redis is unavailable, the
    /// reasons of missed slots are unknown, and all of their counts are 0.
    pub coverage: Option<CoverageResponse>,
    /// The queues; empty while Redis is unavailable.
    pub queues: Vec<QueueResponse>,
    /// Number of running processes of each role; null while Redis is unavailable.
    pub processes: Option<ProcessCounts>,
    /// The sources; empty while Redis is unavailable.
    pub sources: Vec<SourceSummary>,
    /// Status of Redis.
    pub redis: RedisResponse,
    /// The recorded prices that this API process holds.
    pub history: HistoryResponse,
}

/// The last price.
#[derive(Debug, Object)]
pub struct StatusPrice {
    /// Time at which the price was observed, in Unix seconds (UTC).
    pub timestamp: i64,
    /// Price of one bitcoin in pesos.
    pub price: f64,
    /// Name of the source, or several names joined by `+`; null if unknown.
    pub source: Option<String>,
    /// Price in pesos that a buyer pays; null if unknown.
    pub ask: Option<f64>,
    /// Price in pesos that a seller receives; null if unknown.
    pub bid: Option<f64>,
    /// Time since the price was observed, in seconds.
    pub age: i64,
    /// Whether the price is older than `api.stale_after`, by default three slots.
    pub stale: bool,
}

/// The number of running processes of each role: those with a heartbeat within the last 10 seconds.
#[derive(Debug, Object)]
pub struct ProcessCounts {
    /// Number of schedulers.
    pub scheduler: u64,
    /// Number of workers.
    pub worker: u64,
    /// Number of API processes.
    pub api: u64,
}

/// The status of Redis.
#[derive(Debug, Object)]
pub struct RedisResponse {
    /// Whether Redis is available.
    pub up: bool,
    /// Version of Redis; null if unknown, such as while Redis is unavailable.
    pub version: Option<String>,
    /// Memory that Redis uses, in bytes; null if unknown.
    pub memory: Option<u64>,
    /// Limit of that memory (`maxmemory`), in bytes; null if there is no limit or it is unknown.
    pub max_memory: Option<u64>,
    /// Response time of Redis, in milliseconds; null while Redis is unavailable.
    pub latency_ms: Option<f64>,
    /// Number of seconds by which the clock of this machine is ahead of the clock of Redis.
    pub clock_skew: f64,
}

/// The recorded prices that this API process holds.
#[derive(Debug, Object)]
pub struct HistoryResponse {
    /// Number of prices.
    pub samples: u64,
    /// Time of the first price, in Unix seconds (UTC); null if there are no prices.
    pub first: Option<i64>,
    /// Time of the last price, in Unix seconds (UTC); null if there are no prices.
    pub last: Option<i64>,
    /// Memory that this process uses for the prices, in bytes.
    pub memory: u64,
    /// Time up to which all recorded prices are known, in Unix seconds (UTC); null while they are loaded.
    pub known_until: Option<i64>,
}

/// Returns the status of the whole system, as far as this process knows it.
pub async fn status(history: &History, inspector: &Inspector, config: &Config) -> StatusResponse {
    let store = history.store();
    let now = history.now();
    // Concurrently, since each request takes two seconds while Redis hangs.
    let (server, processes, queues, sources, latest, coverage) = tokio::join!(
        store.server(),
        store.processes(),
        queues(inspector),
        summaries(store, &config.sources),
        history.latest(),
        coverage(history, now),
    );
    let mut problems = Problems::default();
    problems.of_redis(&server);
    let is_up = server.is_ok();
    let processes = problems.read("processes", is_up, processes);
    let queues = problems.read("queues", is_up, queues).map(|list| list.queues).unwrap_or_default();
    let sources = problems.read("sources", is_up, sources).unwrap_or_default();
    let is_empty = matches!(&latest, Ok(latest) if latest.value.is_none());
    let latest = latest.ok().and_then(|latest| latest.value);
    let price = latest.map(|observation| price(observation, now, config.stale_after()));
    let counts = processes.as_deref().map(ProcessCounts::of);
    problems.of_processes(counts.as_ref());
    problems.of_queues(&queues);
    problems.of_price(price.as_ref(), is_empty);
    problems.of_sources(&sources);
    StatusResponse {
        now,
        version: env!("COTIZA_VERSION").to_owned(),
        simulated: is_simulated(config, price.as_ref()),
        problems: problems.0,
        price,
        coverage,
        queues,
        processes: counts,
        sources,
        redis: RedisResponse::of(server.ok(), store.clock().skew()),
        history: recorded(history),
    }
}

/// Whether the prices are simulated: the simulated source is enabled here, or it reported the last price.
fn is_simulated(config: &Config, price: Option<&StatusPrice>) -> bool {
    let source = price.and_then(|price| price.source.as_deref()).unwrap_or_default();
    let is_enabled = config.sources.named.get(SIMULATED).is_some_and(|source| source.enabled);
    is_enabled || source.split('+').any(|name| name == SIMULATED)
}

/// Returns the coverage of the last 24 hours. If the reasons cannot be read from Redis, their counts are 0.
async fn coverage(history: &History, now: i64) -> Option<CoverageResponse> {
    let range = TimeRange::new(Some(UnixTime::from_seconds(now - DAY)), None).ok()?;
    if let Ok(known) = history.coverage(&range, now).await {
        return Some(CoverageResponse::from(&known.value));
    }
    let mut counted = history.coverage_without_reasons(&range, now).await.ok()?.value;
    let missed = counted.missed.total();
    counted.missed = MissedSlots::default();
    Some(CoverageResponse { missed, ..CoverageResponse::from(&counted) })
}

fn price(Observation { sample, provenance }: Observation, now: i64, limit: i64) -> StatusPrice {
    let age = (now - sample.timestamp.second()).max(0);
    StatusPrice {
        timestamp: sample.timestamp.second(),
        price: pesos(sample.price),
        ask: provenance.as_ref().and_then(|from| from.ask).map(pesos),
        bid: provenance.as_ref().and_then(|from| from.bid).map(pesos),
        source: provenance.map(|from| from.source),
        age,
        stale: age > limit,
    }
}

fn recorded(history: &History) -> HistoryResponse {
    let size = history.size();
    HistoryResponse {
        samples: size.samples,
        first: size.first,
        last: size.last,
        memory: size.memory as u64,
        known_until: match history.freshness() {
            Freshness::Loading => None,
            Freshness::Current { known_until }
            | Freshness::Stale { known_until }
            | Freshness::Expired { known_until } => Some(known_until),
        },
    }
}

impl ProcessCounts {
    fn of(processes: &[ProcessReport]) -> Self {
        let count = |role| {
            let alive = processes.iter().filter(|it| it.role == role && it.is_alive());
            alive.count() as u64
        };
        Self {
            scheduler: count(Role::Scheduler),
            worker: count(Role::Worker),
            api: count(Role::Api),
        }
    }
}

impl RedisResponse {
    fn of(server: Option<ServerReport>, skew: f64) -> Self {
        let latency = server.as_ref().map(|server| server.latency.as_secs_f64() * 1000.0);
        Self {
            up: server.is_some(),
            memory: server.as_ref().and_then(|server| server.memory),
            max_memory: server.as_ref().and_then(|server| server.max_memory),
            latency_ms: latency.map(rounded),
            version: server.and_then(|server| server.version),
            clock_skew: rounded(skew),
        }
    }
}
