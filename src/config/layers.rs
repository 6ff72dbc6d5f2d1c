//! Puts the layers over one another and refuses keys that do not exist.

use std::{collections::HashMap, path::Path};

use config::{Environment, File, FileFormat};
use toml::{Table, Value};

use super::{Config, ConfigError, DEFAULT_TOML, Flags};

const PREFIX: &str = "COTIZA__";
const URL_KEY: &str = "redis.url";

pub(super) fn merge(
    file: Option<&Path>,
    mut environment: HashMap<String, String>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    let redis_url = environment.remove("REDIS_URL").filter(|url| !url.is_empty());
    environment.retain(|name, _| name.starts_with(PREFIX));
    if let Some(url) = redis_url {
        environment.entry("COTIZA__REDIS__URL".to_owned()).or_insert(url);
    }
    check_environment(&environment)?;

    let mut layers =
        config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
    let mut chosen = environment.keys().any(|name| key_of(name) == URL_KEY)
        || flags.iter().any(|(key, _)| *key == URL_KEY);
    if let Some(path) = file {
        let (text, keys) = read(path)?;
        chosen |= keys.iter().any(|key| key == URL_KEY);
        layers = layers.add_source(File::from_str(&text, FileFormat::Toml));
    }
    layers = layers.add_source(
        Environment::with_prefix("COTIZA")
            .prefix_separator("__")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("api.trusted_proxies")
            .try_parsing(true)
            .source(Some(environment)),
    );
    for (key, value) in flags {
        layers = layers
            .set_override(*key, value.as_str())
            .map_err(|error| ConfigError::Value(error.to_string()))?;
    }
    let mut config: Config = layers
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| ConfigError::Value(one_line(&error.to_string())))?;
    config.redis.chosen = chosen;
    Ok(config)
}

fn key_of(variable: &str) -> String {
    variable.trim_start_matches(PREFIX).to_lowercase().replace("__", ".")
}

fn check_environment(environment: &HashMap<String, String>) -> Result<(), ConfigError> {
    let mut names: Vec<&String> = environment.keys().collect();
    names.sort();
    names
        .into_iter()
        .try_for_each(|name| check_key(&key_of(name), &format!("the environment ({name})")))
}

/// The text of a configuration file and its keys, all of them known.
fn read(path: &Path) -> Result<(String, Vec<String>), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        reason: one_line(&error.to_string()),
    })?;
    let keys = keys(&table);
    let origin = path.display().to_string();
    keys.iter().try_for_each(|key| check_key(key, &origin))?;
    Ok((text, keys))
}

fn check_key(key: &str, origin: &str) -> Result<(), ConfigError> {
    let known = keys(&DEFAULT_TOML.parse().unwrap_or_default());
    if known.iter().any(|known| known == key) {
        return Ok(());
    }
    let nearest = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&known, key), known))
        .min()
        .filter(|(distance, _)| *distance <= key.len() / 2)
        .map(|(_, known)| known);
    Err(ConfigError::UnknownKey { key: key.to_owned(), origin: origin.to_owned(), nearest })
}

/// The dotted names of all values in the table.
fn keys(table: &Table) -> Vec<String> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Table(inner) => keys(inner).iter().map(|key| format!("{name}.{key}")).collect(),
        _ => vec![name.clone()],
    };
    table.iter().flat_map(below).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
