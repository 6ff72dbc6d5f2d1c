//! The password of Redis from a file of its own, so that it stands neither in a command line nor in
//! an environment that others may read.

use std::fs;

use url::Url;

use super::{ConfigError, Redis};

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
