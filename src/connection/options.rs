//! What can be set about a Redis: the section `[redis]` of the configuration. Depends on nothing of the crate.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{AddressError, address::shown, tls};

/// Which Redis, and how to reach it. Empty paths and texts are none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Where it is.
    pub url: String,
    /// A file with the password, for a URL without one. Read for each connection.
    pub password_file: PathBuf,
    /// The certificates of who may sign the server's certificate, as PEM; without it, those of the system.
    pub ca_file: PathBuf,
    /// The certificate of this client, as PEM.
    pub cert_file: PathBuf,
    /// The private key of that certificate, as PEM.
    pub key_file: PathBuf,
    /// The user for the Sentinels.
    pub sentinel_username: String,
    /// A file with the password for the Sentinels.
    pub sentinel_password_file: PathBuf,
    /// Whether connections to the Sentinels use TLS.
    pub sentinel_tls: SentinelTls,
}

/// Whether connections to Sentinels use TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SentinelTls {
    /// If those to Redis do.
    #[default]
    Same,
    /// They do.
    On,
    /// They do not.
    Off,
}

/// The password in a file, which may end with line breaks; `None` if no file is named.
pub(super) fn password(file: &Path, key: &'static str) -> Result<Option<String>, AddressError> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| tls::wrong(key, file, format!("cannot read it: {error}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(tls::wrong(key, file, "it is empty; give a file with a password".to_owned()));
    }
    Ok(Some(password.to_owned()))
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}
