//! The password of Redis from a file of its own, so that it stands neither in a command line nor in
//! an environment that others may read.

use std::{fs, path::PathBuf};

use url::Url;

use super::{Config, ConfigError, Redis, Up};

/// The file with the password of the Redis that `cotiza up` runs.
pub fn own_password_file(up: &Up) -> PathBuf {
    up.data_dir.join("redis-password")
}

/// Makes the Redis of a `cotiza up` in this folder the one to use, if nobody chose another one; adds
/// its password if it was chosen without.
pub(super) fn find_own(config: &mut Config) -> Result<(), ConfigError> {
    let file = own_password_file(&config.up);
    let has_password = fs::read_to_string(&file).is_ok_and(|text| !text.trim().is_empty());
    if !config.redis.password_file.as_os_str().is_empty() || !has_password {
        return Ok(());
    }
    let port = config.up.redis_port;
    let is_own = |url: &str| {
        Url::parse(url).is_ok_and(|url| {
            let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
            is_here && url.password().is_none() && url.port() == Some(port)
        })
    };
    if !config.redis.chosen {
        config.redis.url = format!("redis://127.0.0.1:{port}/0");
    } else if !is_own(&config.redis.url) {
        return Ok(());
    }
    config.redis.password_file = file;
    add(&mut config.redis)
}

/// Puts the password into the URL, unless there is no file or the URL has one.
pub(super) fn add(redis: &mut Redis) -> Result<(), ConfigError> {
    if redis.password_file.as_os_str().is_empty() {
        return Ok(());
    }
    let wrong = |reason: String| ConfigError::NotAllowed {
        key: "redis.password_file".to_owned(),
        value: redis.password_file.display().to_string(),
        reason,
    };
    let text = fs::read_to_string(&redis.password_file)
        .map_err(|error| wrong(format!("cannot read it: {error}")))?;
    let password = text.trim();
    if password.is_empty() {
        return Err(wrong("it is empty; give a file with a password".to_owned()));
    }
    let mut url = Url::parse(&redis.url).map_err(|error| wrong(format!("redis.url: {error}")))?;
    if url.password().is_some() {
        return Ok(());
    }
    // `Url` takes a % for one that is encoded already.
    url.set_password(Some(&password.replace('%', "%25")))
        .map_err(|()| wrong("redis.url names no host that would take a password".to_owned()))?;
    redis.url = url.into();
    Ok(())
}
