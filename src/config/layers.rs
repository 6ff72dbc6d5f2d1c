//! Merges the layers of the configuration and rejects unknown keys and values of a wrong type.
//! Depends on `connection`.

use std::{collections::HashMap, path::Path};

use toml::{Table, Value};

use crate::connection;

use super::{Config, ConfigError, DEFAULT_TOML, Flags};

const PREFIX: &str = "COTIZA__";

/// Returns the name of the environment variable that sets a key.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

const URL_KEY: &str = "redis.url";
/// The source in default.toml that contains every key.
const TEMPLATE: &str = "buenbit";
const PASSWORD_KEY: &str = "redis.password_file";

/// A value that a layer sets.
struct Setting {
    key: String,
    value: Value,
    /// The layer, for error messages.
    origin: String,
}

pub(super) fn merge(
    file: Option<&Path>,
    environment: &HashMap<String, String>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    let mut settings = file.map(of_file).transpose()?.unwrap_or_default();
    let variables = variables(environment);
    let keys = settings.iter().map(|setting| &setting.key);
    let keys = keys.chain(variables.iter().map(|(key, ..)| key));
    let (defaults, new_sources) = defaults(keys);
    near_misses(environment, &defaults)?;
    for (key, name, text) in variables {
        let origin = format!("the environment ({name})");
        settings.push(of_text(key, text, origin, &defaults)?);
    }
    for (key, text) in flags {
        let origin = "the command line".to_owned();
        settings.push(of_text((*key).to_owned(), text, origin, &defaults)?);
    }
    let mut merged = defaults.clone();
    for setting in &settings {
        known(&defaults, setting)?;
        // Parse the defaults with this value alone, so that an error is attributed to the right key.
        let mut alone = defaults.clone();
        set(&mut alone, setting);
        alone.try_into::<Config>().map_err(|error| wrong(setting, &defaults, error.message()))?;
        set(&mut merged, setting);
    }
    for name in new_sources {
        complete(&name, &settings, &defaults)?;
    }
    let mut config: Config =
        merged.try_into().map_err(|error| ConfigError::Merged(Box::new(error)))?;
    // A configured password file means another Redis than that of `cotiza up`, whose password file is found
    // automatically.
    let choosing = [URL_KEY, PASSWORD_KEY];
    config.is_redis_configured =
        settings.iter().any(|setting| choosing.contains(&setting.key.as_str()));
    Ok(config)
}

fn of_file(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        error: Box::new(error),
    })?;
    let setting = |(key, value)| Setting { key, value, origin: path.display().to_string() };
    Ok(leaves(&table).into_iter().map(setting).collect())
}

/// Returns the defaults of all keys, and the names of the sources that default.toml does not contain. Keys
/// that a source does not have in default.toml get the defaults of [`TEMPLATE`].
fn defaults<'a>(keys: impl Iterator<Item = &'a String>) -> (Table, Vec<String>) {
    let mut defaults: Table = DEFAULT_TOML.parse().unwrap_or_default();
    let Some(Value::Table(sources)) = defaults.get_mut("sources") else {
        return (defaults, Vec::new());
    };
    let mut template = match sources.get(TEMPLATE) {
        Some(Value::Table(template)) => template.clone(),
        _ => Table::new(),
    };
    for optional in ["bid", "check", "time"] {
        template.insert(optional.to_owned(), Value::String(String::new()));
    }
    let mut new = Vec::new();
    for key in keys {
        let mut parts = key.split('.');
        if let (Some("sources"), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next())
            && !sources.contains_key(name)
        {
            sources.insert(name.to_owned(), Value::Table(Table::new()));
            new.push(name.to_owned());
        }
    }
    for (_, source) in sources.iter_mut() {
        if let Value::Table(source) = source {
            for (key, value) in &template {
                source.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    (defaults, new)
}

/// Returns an error if a required key of a new source is missing.
fn complete(name: &str, settings: &[Setting], defaults: &Table) -> Result<(), ConfigError> {
    let is_set = |key: &str| settings.iter().any(|setting| setting.key == key);
    for (key, example) in [("url", "https://host/path"), ("ask", "/data/ask")] {
        let key = format!("sources.{name}.{key}");
        if !is_set(&key) {
            let sources = get(defaults, "sources").and_then(Value::as_table);
            let others = sources.into_iter().flatten().filter(|(_, value)| value.is_table());
            let known = others.map(|(other, _)| other.clone()).collect();
            return Err(ConfigError::MissingKey { key, example, known });
        }
    }
    Ok(())
}

/// Returns the keys that the environment sets, each with the name of the variable and its text; `REDIS_URL`
/// first.
fn variables(environment: &HashMap<String, String>) -> Vec<(String, &String, &String)> {
    let mut variables: Vec<(String, &String, &String)> = environment
        .iter()
        .filter_map(|(name, text)| match name.strip_prefix(PREFIX) {
            Some(key) => Some((key.to_lowercase().replace("__", "."), name, text)),
            None if name == "REDIS_URL" && !text.is_empty() => Some((URL_KEY.into(), name, text)),
            None => None,
        })
        .collect();
    // Variables with the prefix come later, so they override REDIS_URL.
    variables.sort_by_key(|(_, name, _)| (name.starts_with(PREFIX), *name));
    variables
}

/// Returns an error if a variable begins with `COTIZA_` instead of `COTIZA__` and resembles that of a key.
fn near_misses(environment: &HashMap<String, String>, defaults: &Table) -> Result<(), ConfigError> {
    let letters = |name: &str| name.to_lowercase().replace(['_', '.'], "");
    let keys = leaves(defaults);
    let names = environment.keys().filter(|name| {
        name.starts_with("COTIZA_") && !name.starts_with(PREFIX) && *name != super::FILE_VARIABLE
    });
    for name in names {
        let meant = letters(name.trim_start_matches("COTIZA"));
        let is_near = |key: &str| strsim::damerau_levenshtein(&letters(key), &meant) <= 1;
        if let Some((key, _)) = keys.iter().find(|(key, _)| is_near(key)) {
            let right = format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"));
            return Err(ConfigError::NearMiss { name: name.clone(), right });
        }
    }
    Ok(())
}

/// Converts a value given as text to the type of the key.
fn of_text(
    key: String,
    text: &str,
    origin: String,
    defaults: &Table,
) -> Result<Setting, ConfigError> {
    let as_text = Value::String(text.to_owned());
    let value = match get(defaults, &key) {
        Some(Value::Integer(_)) => text.parse().map_or(as_text, Value::Integer),
        Some(Value::Boolean(_)) => text.parse().map_or(as_text, Value::Boolean),
        Some(Value::Float(_)) => text.parse().map_or(as_text, Value::Float),
        Some(Value::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.collect::<Vec<_>>().into()
        }
        _ => as_text,
    };
    let setting = Setting { key, value, origin };
    known(defaults, &setting)?;
    Ok(setting)
}

/// Returns an error if the key does not exist.
fn known(defaults: &Table, setting: &Setting) -> Result<(), ConfigError> {
    let Setting { key, origin, .. } = setting;
    if get(defaults, key).is_some_and(|value| !value.is_table()) {
        return Ok(());
    }
    let nearest = leaves(defaults)
        .into_iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(&known, key), known))
        .min()
        .filter(|(distance, _)| *distance <= key.len() / 2)
        .map(|(_, known)| known);
    Err(ConfigError::UnknownKey { key: key.clone(), origin: origin.clone(), nearest })
}

fn wrong(setting: &Setting, defaults: &Table, reason: &str) -> ConfigError {
    let Setting { key, value, origin } = setting;
    let default = get(defaults, key).map(ToString::to_string).unwrap_or_default();
    let (mut shown, mut reason) = (value.to_string(), reason.trim_end().replace('\n', " "));
    // A header may contain an API key.
    if key.ends_with(".headers") {
        (shown, reason) =
            ("...".to_owned(), "give a list of headers, each as \"Name: value\"".to_owned());
    }
    // A URL may contain a password, which error messages of parsers repeat.
    if let Some(url) = value.as_str().filter(|_| key.ends_with("url")) {
        let is_redis = key == URL_KEY;
        let masked = if is_redis { connection::redacted(url) } else { super::mask_url(url) };
        (shown, reason) = (shown.replace(url, &masked), reason.replace(url, &masked));
    }
    let (key, origin) = (key.clone(), origin.clone());
    ConfigError::InvalidValue { key, value: shown, origin, reason, default }
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => get(table.get(section)?.as_table()?, rest),
    }
}

/// Sets the value of a known key.
fn set(table: &mut Table, setting: &Setting) {
    let (sections, name) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
    let mut table = table;
    for section in sections.split('.').filter(|section| !section.is_empty()) {
        let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = inner else { return };
        table = inner;
    }
    table.insert(name.to_owned(), setting.value.clone());
}

/// Returns all values of the table with their dotted keys, including empty sections.
fn leaves(table: &Table) -> Vec<(String, Value)> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Table(inner) if !inner.is_empty() => {
            let inner = leaves(inner).into_iter();
            inner.map(|(key, value)| (format!("{name}.{key}"), value)).collect()
        }
        _ => vec![(name.clone(), value.clone())],
    };
    table.iter().flat_map(below).collect()
}
