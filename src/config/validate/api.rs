//! Checks the values of `[api]`. Depends on nothing else of the crate but the configuration.

use std::{ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;
use url::Url;

use super::{lasting, within};
use crate::config::{Api, ConfigError};

pub(super) fn check(api: &Api) -> Result<(), ConfigError> {
    let (second, minutes, hour) =
        (Duration::from_secs(1), Duration::from_mins(10), Duration::from_hours(1));
    within("api.max_connections", api.max_connections, 1..=100_000)?;
    within("api.max_connections_per_address", api.max_connections_per_address, 1..=100_000)?;
    lasting("api.header_timeout", api.header_timeout, second..=minutes)?;
    lasting("api.idle_timeout", api.idle_timeout, second..=hour)?;
    lasting("api.write_timeout", api.write_timeout, second..=minutes)?;
    let most = ByteSize::mb(1);
    large("api.max_url", api.max_url, &(ByteSize::kb(1)..=most))?;
    if let Some(age) = api.stale_after {
        lasting("api.stale_after", age, second..=30 * 24 * hour)?;
    }
    within("api.max_streams", api.max_streams, 0..=100_000)?;
    api.cors_origins.iter().try_for_each(|origin| cors_origin(origin))?;
    // The server needs 8 KiB for one request.
    large("api.max_headers", api.max_headers, &(ByteSize::kb(10)..=most))?;
    let rate = usize::try_from(api.requests_per_second).unwrap_or(usize::MAX);
    within("api.requests_per_second", rate, 0..=1_000_000)?;
    public_url(&api.public_url)
}

fn large(key: &str, size: ByteSize, range: &RangeInclusive<ByteSize>) -> Result<(), ConfigError> {
    if range.contains(&size) {
        return Ok(());
    }
    let reason = format!(
        "give a size from {} to {}",
        range.start().display().si(),
        range.end().display().si()
    );
    Err(ConfigError::NotAllowed {
        key: key.to_owned(),
        value: size.display().si().to_string(),
        reason,
    })
}

/// Checks that an origin is written as browsers send it, because the two are compared character by character.
fn cors_origin(origin: &str) -> Result<(), ConfigError> {
    let is_exact = |url: Url| is_origin(&url) && url.origin().ascii_serialization() == origin;
    if origin == "*" || origin.parse().is_ok_and(is_exact) {
        return Ok(());
    }
    let reason =
        "give \"*\", or a scheme and a host without a path, such as https://example.org".to_owned();
    let key = "api.cors_origins".to_owned();
    Err(ConfigError::NotAllowed { key, value: format!("{origin:?}"), reason })
}

fn is_origin(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Checks that the public address is an origin, because links consist of it and the path of a page.
fn public_url(url: &str) -> Result<(), ConfigError> {
    if url.is_empty() || url.parse().is_ok_and(|url| is_origin(&url)) {
        return Ok(());
    }
    let reason =
        "give a scheme and a host without a path, such as https://prices.example.org".to_owned();
    Err(ConfigError::NotAllowed {
        key: "api.public_url".to_owned(),
        value: format!("{url:?}"),
        reason,
    })
}
