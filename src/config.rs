//! The configuration: what can be set, its defaults, and how it is put together.
//!
//! The only room that reads the environment. Knows the domain and nothing else of the crate.

mod error;
mod layers;
mod networks;
mod password;
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
pub use sections::{Api, Exchange, Log, LogFormat, Metrics, Prices, Queue, Schedule, Up, Worker};
pub use simulation::{SIMULATED, simulation};
pub use sources::{Policy, Source, Sources};

/// The commented file that documents every key; the weakest layer.
pub const DEFAULT_TOML: &str = include_str!("../migrations-free-config/default.toml");

/// The environment variable that names the configuration file, if no flag does.
const FILE_VARIABLE: &str = "COTIZA_CONFIG";

/// How many slots long a price is current, unless `api.stale_after` tells.
const CURRENT_SLOTS: u32 = 3;

/// Everything that can be set, already checked. See [`DEFAULT_TOML`] for what each key means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// When a price is recorded.
    pub schedule: Schedule,
    /// Where samples and queue are kept.
    pub redis: Options,
    /// Whether somebody chose that Redis, in any layer above the defaults.
    #[serde(skip)]
    pub is_redis_chosen: bool,
    /// How long prices are kept.
    pub prices: Prices,
    /// Where prices come from.
    pub sources: Sources,
    /// How jobs are run.
    pub worker: Worker,
    /// How the queue is kept.
    pub queue: Queue,
    /// How prices are served.
    pub api: Api,
    /// What a process tells a Prometheus of itself.
    pub metrics: Metrics,
    /// What is logged, and how.
    pub log: Log,
    /// What `cotiza up` runs.
    pub up: Up,
    /// How the simulated exchange behaves.
    pub exchange: Exchange,
}

/// Values given on the command line, as pairs of a dotted key and its text.
pub type Flags = Vec<(&'static str, String)>;

impl Config {
    /// Puts the configuration together: defaults, then `file` (else the one that the environment
    /// names), the environment, `flags`. Finds the Redis of a `cotiza up` in this folder.
    ///
    /// # Errors
    /// On a file that cannot be read, an unknown key, or a value that is not allowed; the
    /// message names the key and what would be right.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        #[allow(clippy::disallowed_methods, reason = "this is the one reader of the environment")]
        let mut environment = std::env::vars().collect();
        let mut config = Self::from_layers(file, &environment, flags)?;
        if password::find_own(&mut config) == Some(Kind::Simulated) {
            // The processes beside a simulation ask what its own ones ask.
            environment.extend(simulation(&config));
            config = Self::from_layers(file, &environment, flags)?;
            password::find_own(&mut config);
        }
        Ok(config)
    }

    /// As [`Config::load`], with the environment given and without a look at the data folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_layers(
        file: Option<&Path>,
        environment: &HashMap<String, String>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        // An image says in its environment where its configuration is, so that every command that
        // is run in a container finds it.
        let file = file.or_else(|| environment.get(FILE_VARIABLE).map(Path::new));
        let config = layers::merge(file, environment, flags)?;
        validate::check(&config)?;
        Ok(config)
    }

    /// The age in seconds beyond which the last price is stale.
    pub fn stale_after(&self) -> i64 {
        let age = self.api.stale_after.unwrap_or(self.schedule.every * CURRENT_SLOTS);
        i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
    }

    /// The effective values as TOML, passwords masked.
    pub fn to_masked_toml(&self) -> String {
        let mut shown = self.clone();
        shown.redis.url = connection::shown(&self.redis.url);
        for source in shown.sources.named.values_mut() {
            if let Ok(url) = masked(source.url.as_str()).parse() {
                source.url = url;
            }
            for header in &mut source.headers {
                // A key to an exchange's doors, as often as not.
                let name = header.split(':').next().unwrap_or_default();
                *header = format!("{name}: ***");
            }
        }
        toml::to_string(&shown).unwrap_or_default()
    }
}

#[allow(clippy::expect_used, reason = "every start and every test reads this constant")]
impl Default for Config {
    fn default() -> Self {
        layers::merge(None, &HashMap::new(), &Vec::new()).expect("default.toml is whole")
    }
}

/// A URL with its password or token, and what looks like one in its query, replaced by `***`. Of one that
/// cannot be parsed only the scheme is shown.
pub fn masked(url: &str) -> String {
    let Some(mut shown) = Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()) else {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let scheme =
            scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        return scheme.map_or("***".to_owned(), |scheme| format!("{scheme}://***"));
    };
    // These fail for URLs without a host, which have no password.
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
