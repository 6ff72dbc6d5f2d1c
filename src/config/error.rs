//! The errors of the configuration. Depends on `connection`.

use std::path::PathBuf;

use crate::connection::AddressError;

/// An invalid configuration; no process starts with it. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file given with `--config` cannot be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The file given with `--config` is not valid TOML.
    #[error("{} is not valid TOML: {}", path.display(), one_line(error))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        #[source]
        error: Box<toml::de::Error>,
    },
    /// A key that does not exist.
    #[error("unknown key {key} in {origin}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The key, dotted.
        key: String,
        /// The layer that contains it.
        origin: String,
        /// The most similar known key.
        nearest: Option<String>,
    },
    /// An environment variable that is not used, but whose name resembles one that is.
    #[error(
        "the environment variable {name} is not used; did you mean {right}, with two underscores?"
    )]
    NearMiss {
        /// Its name.
        name: String,
        /// The name that was probably meant.
        right: String,
    },
    /// A new source lacks a required key.
    #[error(
        "{key} is missing: a new source requires it, for example \"{example}\"; the known sources are {}",
        known.join(", ")
    )]
    MissingKey {
        /// The key, dotted.
        key: String,
        /// A value that it may have.
        example: &'static str,
        /// The names of the sources that exist.
        known: Vec<String>,
    },
    /// A value of the wrong type, or one that cannot be parsed.
    #[error("{key} = {value} in {origin}: {reason}; the default is {default}")]
    InvalidValue {
        /// The key, dotted.
        key: String,
        /// The value, with passwords masked.
        value: String,
        /// The layer that contains it.
        origin: String,
        /// What is wrong with it, with passwords masked.
        reason: String,
        /// The default.
        default: String,
    },
    /// The merged layers are not a configuration.
    #[error("{}", one_line(.0))]
    Merged(#[source] Box<toml::de::Error>),
    /// The options of Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] AddressError),
    /// A value that is not allowed.
    #[error("{key} = {value}: {reason}")]
    NotAllowed {
        /// The key, dotted.
        key: String,
        /// The value as it was given.
        value: String,
        /// Which values are allowed.
        reason: String,
    },
}

/// The message of an error of TOML on one line.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}
