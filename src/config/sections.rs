//! The sections of the configuration; `default.toml` holds and documents their defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::Networks;

/// `[schedule]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The time between two recordings, and the length of a slot.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

/// `[prices]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// How long samples are kept; `None` is for ever.
    #[serde(with = "forever")]
    pub keep: Option<Duration>,
    /// How long samples are also kept as text; `None` is for ever.
    #[serde(with = "forever")]
    pub text: Option<Duration>,
}

/// `[worker]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Jobs that run at the same time in one worker.
    pub concurrency: usize,
    /// The longest that a stopping worker waits for jobs in flight.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Whether one that has jobs and records nothing is unhealthy.
    pub unhealthy_when_stale: bool,
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

impl Queue {
    /// The silence after which a worker counts as dead.
    pub fn silence(&self) -> Duration {
        self.heartbeat.saturating_mul(u32::try_from(self.missed_heartbeats).unwrap_or(u32::MAX))
    }
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Api {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The memory that samples may take.
    pub memory: ByteSize,
    /// How long answers are given from memory that may have changed while Redis is away.
    #[serde(with = "humantime_serde")]
    pub stale_for: Duration,
    /// The age from which the last price counts as stale; `None` is three slots.
    #[serde(with = "auto")]
    pub stale_after: Option<Duration>,
    /// Whether it is not ready while the last price is stale.
    pub unready_when_stale: bool,
    /// The origins whose pages may read the API; `*` is any.
    pub cors_origins: Vec<String>,
    /// Clients of the stream at the same time.
    pub max_streams: usize,
    /// The proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Networks,
    /// The address under which clients know the API; empty: that of each request.
    pub public_url: String,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Connections of one address at the same time.
    pub max_connections_per_address: usize,
    /// How long a client may take to send the head of a request.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a client may take for about 40 KB of an answer.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// The largest URL.
    pub max_url: ByteSize,
    /// The largest head of a request.
    pub max_headers: ByteSize,
    /// Requests a second of one address; 0: any number.
    pub requests_per_second: u32,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The address on which a scheduler or a worker tells what it has counted; `None`: it does not.
    #[serde(with = "address")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is let through: a level or `tracing` directives.
    pub level: String,
    /// Whether each request of the API is logged.
    pub requests: bool,
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

/// An address, or nothing.
mod address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde hands over references")]
    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = address.map(|address| address.to_string());
        serializer.serialize_str(&text.unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            D::Error::custom(format!("{text:?} is no address with a port such as 127.0.0.1:9100"))
        })
    }
}

/// A duration, or a word for `None`.
macro_rules! duration_or {
    ($module:ident, $word:literal) => {
        mod $module {
            use std::time::Duration;

            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            #[allow(clippy::ref_option, reason = "serde hands over references")]
            pub(super) fn serialize<S: Serializer>(
                duration: &Option<Duration>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match duration {
                    None => serializer.serialize_str($word),
                    Some(duration) => {
                        serializer.collect_str(&humantime::format_duration(*duration))
                    }
                }
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<Duration>, D::Error> {
                let text = String::deserialize(deserializer)?;
                if text == $word {
                    return Ok(None);
                }
                humantime::parse_duration(&text).map(Some).map_err(|error| {
                    D::Error::custom(format!(
                        concat!("{:?}: {}; give \"", $word, "\" or a duration"),
                        text, error
                    ))
                })
            }
        }
    };
}

duration_or!(forever, "forever");
duration_or!(auto, "auto");
