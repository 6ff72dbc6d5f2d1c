//! What can be wrong with a configuration.

use std::path::PathBuf;

/// A configuration that nothing may be started with. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file given with `--config` cannot be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file given with `--config` is not TOML.
    #[error("{} is not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why, on one line.
        reason: String,
    },
    /// A key that does not exist.
    #[error("unknown key {key} in {origin}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The key, dotted.
        key: String,
        /// The layer it stands in.
        origin: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A variable of the environment that sets nothing, but looks like one that does.
    #[error("the variable {name} sets nothing; did you mean {right}, with two underscores?")]
    NearMiss {
        /// Its name.
        name: String,
        /// The name that was probably meant.
        right: String,
    },
    /// A value of the wrong type, or one that cannot be read.
    #[error("{0}")]
    Value(String),
    /// A value that is not allowed.
    #[error("{key} = {value}: {reason}")]
    NotAllowed {
        /// The key, dotted.
        key: String,
        /// The value as it was given.
        value: String,
        /// What would be right.
        reason: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}
