//! The configuration: its keys, their defaults, and how the layers are merged.
//!
//! Only this module reads the environment. It depends on `connection`, `domain` and `json_locator`.

mod error;
mod layers;
mod networks;
mod password;
mod reference;
mod sections;
mod simulation;
mod sources;
mod validate;

use std::{collections::HashMap, path::Path};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::connection::{self, Options};
use password::Kind;

pub use error::ConfigError;
pub use layers::variable;
pub use networks::Networks;
pub use password::{lock_file, own_password_file, simulated_data_dir};
pub use reference::reference;
pub use sections::{Api, Exchange, Log, LogFormat, Metrics, Prices, Queue, Schedule, Up, Worker};
pub use simulation::{SIMULATED, simulation};
pub use sources::{Policy, Source, Sources};

/// The file that documents every key. It is the layer that all others override.
pub const DEFAULT_TOML: &str = include_str!("../migrations-free-config/default.toml");

/// The environment variable that names the configuration file if `--config` is not given.
const FILE_VARIABLE: &str = "COTIZA_CONFIG";

/// The number of slots after which a price is stale, unless `api.stale_after` is set.
const CURRENT_SLOTS: u32 = 3;

/// The validated configuration. [`DEFAULT_TOML`] describes each key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The interval at which prices are recorded.
    pub schedule: Schedule,
    /// The Redis that stores the samples and the queues.
    pub redis: Options,
    /// Whether a layer other than the defaults sets that Redis.
    #[serde(skip)]
    pub is_redis_configured: bool,
    /// How long samples are kept.
    pub prices: Prices,
    /// The sources and which of their prices are accepted.
    pub sources: Sources,
    /// How workers run jobs.
    pub worker: Worker,
    /// Heartbeats, and how long finished jobs are kept.
    pub queue: Queue,
    /// The REST API and its limits.
    pub api: Api,
    /// Where a process serves its own metrics.
    pub metrics: Metrics,
    /// The level and the format of the log.
    pub log: Log,
    /// The processes that `cotiza up` runs.
    pub up: Up,
    /// The behaviour of the simulated exchange.
    pub exchange: Exchange,
}

/// Values given on the command line: pairs of a dotted key and its value as text.
pub type Flags = Vec<(&'static str, String)>;

impl Config {
    /// Merges the layers: the defaults, `file` (or the file that the environment names), the environment, and
    /// `flags`. Uses the Redis of a `cotiza up` if its data folder exists and no other Redis is configured.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, a key is unknown, or a value is not allowed. The message
    /// names the key and an allowed value.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        #[allow(clippy::disallowed_methods, reason = "only this function reads the environment")]
        let mut environment = std::env::vars().collect();
        let mut config = Self::from_layers(file, &environment, flags)?;
        if password::find_own(&mut config) == Some(Kind::Simulated) {
            // Use the same source as the processes of the simulation.
            environment.extend(simulation(&config));
            config = Self::from_layers(file, &environment, flags)?;
            password::find_own(&mut config);
        }
        Ok(config)
    }

    /// Merges the layers as [`Config::load`] does, but with a given environment and without searching for the
    /// data folder of a `cotiza up`.
    ///
    /// # Errors
    /// Returns the same errors as [`Config::load`].
    pub fn from_layers(
        file: Option<&Path>,
        environment: &HashMap<String, String>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        // The container image sets the variable, so that every command in a container finds the file.
        let file = file.or_else(|| environment.get(FILE_VARIABLE).map(Path::new));
        let config = layers::merge(file, environment, flags)?;
        validate::check(&config)?;
        Ok(config)
    }

    /// Returns the age in seconds above which the last price is stale.
    pub fn stale_after(&self) -> i64 {
        let age = self.api.stale_after.unwrap_or(self.schedule.every * CURRENT_SLOTS);
        i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
    }

    /// Returns the effective values as TOML, with masked passwords.
    pub fn to_masked_toml(&self) -> String {
        let mut shown = self.clone();
        shown.redis.url = connection::redacted(&self.redis.url);
        for source in shown.sources.named.values_mut() {
            if let Ok(url) = mask_url(source.url.as_str()).parse() {
                source.url = url;
            }
            for header in &mut source.headers {
                // Headers often contain API keys.
                let name = header.split(':').next().unwrap_or_default();
                *header = format!("{name}: ***");
            }
        }
        toml::to_string(&shown).unwrap_or_default()
    }
}

#[allow(clippy::expect_used, reason = "default.toml is a constant that every start parses")]
impl Default for Config {
    fn default() -> Self {
        layers::merge(None, &HashMap::new(), &Vec::new()).expect("default.toml is complete")
    }
}

/// Returns a URL in which the password or token, and query parameters with names such as `key` or `token`,
/// are replaced by `***`. Of a URL that cannot be parsed, only the scheme is kept.
pub fn mask_url(url: &str) -> String {
    let Some(mut shown) = Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()) else {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let scheme =
            scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        return scheme.map_or("***".to_owned(), |scheme| format!("{scheme}://***"));
    };
    // These calls fail only for URLs without a host, which have no password.
    if shown.password().is_some() {
        let _kept: Result<(), ()> = shown.set_password(Some("***"));
    } else if !shown.username().is_empty() {
        let _kept: Result<(), ()> = shown.set_username("***");
    }
    let secret = |name: &str| {
        let name = name.to_lowercase();
        ["key", "token", "secret", "sign", "pass", "auth"].iter().any(|word| name.contains(word))
    };
    if let Some(query) = shown.query().map(str::to_owned) {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if secret(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        });
        shown.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
    }
    shown.into()
}

#[cfg(test)]
mod tests;
