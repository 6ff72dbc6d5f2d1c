//! The sections of the configuration; `default.toml` contains and describes their defaults. Depends on
//! nothing of the crate but [`Networks`].

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::Networks;

/// `[schedule]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The interval between two recorded prices, and the length of a slot.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

/// `[prices]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// How long samples are kept; `None`: forever.
    #[serde(with = "forever")]
    pub keep: Option<Duration>,
    /// How long samples are also kept in text form; `None`: forever.
    #[serde(with = "forever")]
    pub text: Option<Duration>,
}

/// `[worker]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// The number of jobs that one worker can run at the same time.
    pub concurrency: usize,
    /// How long a stopping worker waits for running jobs.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Whether a worker that runs jobs but records nothing is unhealthy.
    pub unhealthy_when_stale: bool,
}

/// `[queue]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The interval between two heartbeats of a worker.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The number of missed heartbeats after which a worker is considered dead.
    pub missed_heartbeats: usize,
    /// How long succeeded jobs are kept.
    #[serde(with = "humantime_serde")]
    pub keep_done: Duration,
    /// How long dead jobs are kept.
    #[serde(with = "humantime_serde")]
    pub keep_dead: Duration,
    /// The interval of the housekeeping job.
    #[serde(with = "humantime_serde")]
    pub housekeeping_every: Duration,
}

impl Queue {
    /// Returns the time without a heartbeat after which a worker is considered dead.
    pub fn silence(&self) -> Duration {
        self.heartbeat.saturating_mul(u32::try_from(self.missed_heartbeats).unwrap_or(u32::MAX))
    }
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Api {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The maximum memory of the samples.
    pub memory: ByteSize,
    /// How long requests whose answer may have changed are answered from memory while Redis is unavailable.
    #[serde(with = "humantime_serde")]
    pub stale_for: Duration,
    /// The age from which the last price is stale; `None`: the length of three slots.
    #[serde(with = "auto")]
    pub stale_after: Option<Duration>,
    /// Whether `/health/ready` reports 503 while the last price is stale.
    pub unready_when_stale: bool,
    /// The origins whose web pages may read the API; `*`: every origin.
    pub cors_origins: Vec<String>,
    /// The maximum number of connected clients of the stream.
    pub max_streams: usize,
    /// The proxies whose `Forwarded` and `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: Networks,
    /// The public address of the API; empty: the address of each request.
    pub public_url: String,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The maximum number of open connections from one address.
    pub max_connections_per_address: usize,
    /// How long a client may take to send the request line and the headers.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a client may take to read about 40 KB of a response.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// The maximum length of a URL.
    pub max_url: ByteSize,
    /// The maximum length of the URL and all headers together.
    pub max_headers: ByteSize,
    /// The maximum number of requests per second from one address; 0: no limit.
    pub requests_per_second: u32,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The address on which a scheduler or a worker serves its own metrics; `None`: it serves none.
    #[serde(with = "address")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// The format of a line.
    pub format: LogFormat,
    /// The level, or `tracing` directives.
    pub level: String,
    /// Whether each request to the API is logged.
    pub requests: bool,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// `[up]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Up {
    /// The folder with the data of its Redis.
    pub data_dir: PathBuf,
    /// The port of its Redis on 127.0.0.1.
    pub redis_port: u16,
    /// The number of workers.
    pub workers: usize,
}

/// `[exchange]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long it takes to respond.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// The fraction of requests answered with the status 500, 0 to 1.
    pub error_rate: f64,
    /// The fraction of requests answered with a malformed response, 0 to 1.
    pub malformed_rate: f64,
    /// The seed of the random walk.
    pub seed: u64,
}

/// Reads and writes an address; an empty text is `None`.
mod address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde passes references")]
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
            D::Error::custom(format!(
                "{text:?} is not an address with a port, such as 127.0.0.1:9100"
            ))
        })
    }
}

/// Defines a module that reads and writes a duration; a word stands for `None`.
macro_rules! duration_or {
    ($module:ident, $word:literal) => {
        mod $module {
            use std::time::Duration;

            use serde::{Deserialize, Deserializer, Serializer, de::Error};

            #[allow(clippy::ref_option, reason = "serde passes references")]
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
