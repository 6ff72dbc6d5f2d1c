//! The errors of the configuration. Depends on nothing else of the crate.

use std::path::PathBuf;

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
        cause: std::io::Error,
    },
    /// The file given with `--config` is not valid TOML.
    #[error("{} is not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The position and the reason, on one line.
        reason: String,
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
    /// A value of the wrong type, or one that cannot be parsed, or a required key that is missing.
    #[error("{0}")]
    Value(String),
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

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}
