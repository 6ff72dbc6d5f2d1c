//! The options of a Redis: the section `[redis]` of the configuration. Depends on no other module.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{AddressError, AddressProblem, address::redacted, tls};

/// The address of a Redis and how to connect to it. An empty path or text means that the option is not set.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The URL of Redis.
    pub url: String,
    /// The file with the password, for a URL without one. It is read for each connection.
    pub password_file: PathBuf,
    /// The file with the certificates of trusted CAs, as PEM; if not set, the CAs of the system are trusted.
    pub ca_file: PathBuf,
    /// The file with the client certificate, as PEM.
    pub cert_file: PathBuf,
    /// The file with the private key of the client certificate, as PEM.
    pub key_file: PathBuf,
    /// The user for the Sentinels.
    pub sentinel_username: String,
    /// The file with the password for the Sentinels.
    pub sentinel_password_file: PathBuf,
    /// Whether connections to the Sentinels use TLS.
    pub sentinel_tls: SentinelTls,
}

/// Whether connections to Sentinels use TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SentinelTls {
    /// TLS if the connections to Redis use it.
    #[default]
    Same,
    /// TLS.
    On,
    /// No TLS.
    Off,
}

/// Reads a password from a file and removes line breaks at its end. Returns `None` if the path is empty.
pub(super) fn password(file: &Path, key: &'static str) -> Result<Option<String>, AddressError> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| tls::invalid_file(key, file, AddressProblem::Unreadable(error)))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(tls::invalid_file(key, file, AddressProblem::NoPassword));
    }
    Ok(Some(password.to_owned()))
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &redacted(&self.url)).finish_non_exhaustive()
    }
}
