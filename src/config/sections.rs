//! The sections of the configuration and their defaults, which `default.toml` documents.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

/// `[schedule]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The time between two recordings, and the length of a slot.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

/// `[redis]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redis {
    /// The server: `redis://...`.
    pub url: String,
    /// A file that holds the password for a URL without one; empty: there is none.
    pub password_file: PathBuf,
    /// Whether somebody chose the server, in any layer above the defaults.
    #[serde(skip)]
    pub chosen: bool,
}

/// `[prices]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prices {
    /// How long samples are kept; `None` is for ever.
    #[serde(with = "forever")]
    pub keep: Option<Duration>,
}

/// `[sources]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Buenbit.
    pub buenbit: Source,
}

/// `[sources.<name>]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The address that is asked.
    pub url: Url,
}

/// `[worker]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Jobs that run at the same time in one worker.
    pub concurrency: usize,
    /// The longest that one request to an exchange may take.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// The longest that a stopping worker waits for jobs in flight.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

/// `[queue]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The time between two signs of life of a worker.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The silent heartbeats after which a worker counts as dead.
    pub missed_heartbeats: usize,
    /// How long jobs that were done are remembered.
    #[serde(with = "humantime_serde")]
    pub keep_done: Duration,
    /// How long jobs that were given up are remembered.
    #[serde(with = "humantime_serde")]
    pub keep_dead: Duration,
    /// The time from one housekeeping to the next.
    #[serde(with = "humantime_serde")]
    pub housekeeping_every: Duration,
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Api {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is let through: a level or `tracing` directives.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// `[up]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Up {
    /// Where its Redis keeps its data.
    pub data_dir: PathBuf,
    /// The loopback port of its Redis.
    pub redis_port: u16,
    /// How many workers it runs.
    pub workers: usize,
}

/// `[exchange]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The time it takes to answer.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// The share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// The share of requests answered with rubbish, 0 to 1.
    pub malformed_rate: f64,
    /// The seed of the random walk.
    pub seed: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { every: Duration::from_secs(10) }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/0".to_owned(),
            password_file: PathBuf::new(),
            chosen: false,
        }
    }
}

#[allow(clippy::expect_used, reason = "a constant that a test reads")]
impl Default for Source {
    fn default() -> Self {
        let url = "https://be.buenbit.com/api/market/tickers";
        Self { url: Url::parse(url).expect("a constant") }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            concurrency: 4,
            attempt_timeout: Duration::from_secs(3),
            drain: Duration::from_secs(5),
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            missed_heartbeats: 2,
            keep_done: Duration::from_hours(1),
            keep_dead: Duration::from_hours(24),
            housekeeping_every: Duration::from_mins(1),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8000)), trusted_proxies: Vec::new() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Default for Up {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("data"), redis_port: 6399, workers: 2 }
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8001)),
            latency: Duration::ZERO,
            error_rate: 0.0,
            malformed_rate: 0.0,
            seed: 1,
        }
    }
}

/// A duration, or "forever" for `None`.
mod forever {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde hands over references")]
    pub(super) fn serialize<S: Serializer>(
        keep: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match keep {
            None => serializer.serialize_str("forever"),
            Some(keep) => serializer.collect_str(&humantime::format_duration(*keep)),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "forever" => Ok(None),
            text => humantime::parse_duration(text).map(Some).map_err(|error| {
                D::Error::custom(format!("{text:?}: {error}; give \"forever\" or a duration"))
            }),
        }
    }
}
