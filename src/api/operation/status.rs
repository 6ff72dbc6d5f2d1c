//! How everything is, and what is wrong.

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
    domain::{Missed, Observation, TimeRange, UnixTime},
    history::{Freshness, History},
    queue::Inspector,
    store::{ProcessReport, Role, ServerReport},
};

/// How everything is.
#[derive(Debug, Object)]
pub struct StatusResponse {
    /// The time of the answer, in unix seconds (UTC).
    pub now: i64,
    /// The version of the process that answers, with the commit.
    pub version: String,
    /// Whether the prices are those of a simulated exchange.
    pub simulated: bool,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<ProblemResponse>,
    /// The last price; null if none was ever recorded, or if it is not known now.
    pub price: Option<StatusPrice>,
    /// How much of the last 24 hours was recorded; null while it is not known. While Redis is away, the
    /// reasons are not known: all are 0.
    pub coverage: Option<CoverageResponse>,
    /// The queues; empty while Redis is away.
    pub queues: Vec<QueueResponse>,
    /// How many processes are at work; null while Redis is away.
    pub processes: Option<ProcessCounts>,
    /// The sources; empty while Redis is away.
    pub sources: Vec<SourceSummary>,
    /// How Redis is.
    pub redis: RedisResponse,
    /// What is recorded.
    pub history: HistoryResponse,
}

/// The last price.
#[derive(Debug, Object)]
pub struct StatusPrice {
    /// When it was observed, in unix seconds (UTC).
    pub timestamp: i64,
    /// The price of one bitcoin in pesos.
    pub price: f64,
    /// The name of the source; null if it is not known.
    pub source: Option<String>,
    /// What a buyer paid; null if it is not known.
    pub ask: Option<f64>,
    /// What a seller got; null if it is not known.
    pub bid: Option<f64>,
    /// The seconds since it was observed.
    pub age: i64,
    /// Whether it is so old that something is wrong.
    pub stale: bool,
}

/// How many processes of each role are at work.
#[derive(Debug, Object)]
pub struct ProcessCounts {
    /// Schedulers.
    pub scheduler: u64,
    /// Workers.
    pub worker: u64,
    /// Apis.
    pub api: u64,
}

/// How Redis is.
#[derive(Debug, Object)]
pub struct RedisResponse {
    /// Whether it can be reached.
    pub up: bool,
    /// Its version; null while it is away.
    pub version: Option<String>,
    /// The bytes of memory that its data takes.
    pub memory: Option<u64>,
    /// The limit of that memory in bytes; null if there is none.
    pub max_memory: Option<u64>,
    /// The milliseconds that it took to answer.
    pub latency_ms: Option<f64>,
    /// How far the clock of this machine is ahead of its clock, in seconds.
    pub clock_skew: f64,
}

/// What is recorded.
#[derive(Debug, Object)]
pub struct HistoryResponse {
    /// How many prices.
    pub samples: u64,
    /// When the first one was observed, in unix seconds (UTC).
    pub first: Option<i64>,
    /// When the last one was observed.
    pub last: Option<i64>,
    /// The bytes of memory that this process keeps them in.
    pub memory: u64,
    /// The unix second up to which everything that was recorded is known; null while it is loaded.
    pub known_until: Option<i64>,
}

/// How everything is, as this process knows it.
pub async fn status(history: &History, inspector: &Inspector, config: &Config) -> StatusResponse {
    let store = history.store();
    let now = history.now();
    // At the same time: each takes two seconds while Redis hangs.
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

/// Whether the prices are simulated: this process is configured so, or the last one was.
fn is_simulated(config: &Config, price: Option<&StatusPrice>) -> bool {
    let source = price.and_then(|price| price.source.as_deref()).unwrap_or_default();
    let is_asked = config.sources.named.get(SIMULATED).is_some_and(|source| source.enabled);
    is_asked || source.split('+').any(|name| name == SIMULATED)
}

/// How much of the last 24 hours was recorded. While Redis cannot tell the reasons, all are 0.
async fn coverage(history: &History, now: i64) -> Option<CoverageResponse> {
    let range = TimeRange::new(Some(UnixTime::from_seconds(now - DAY)), None).ok()?;
    if let Ok(known) = history.coverage(&range, now).await {
        return Some(CoverageResponse::from(&known.value));
    }
    let mut counted = history.counted(&range, now).await.ok()?.value;
    let missed = counted.missed.total();
    counted.missed = Missed::default();
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
            | Freshness::Refusing { known_until } => Some(known_until),
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
