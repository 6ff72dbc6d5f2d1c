//! Checks the values of `[sources]`. Depends on `domain` and the configuration.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::{lasting, within};
use crate::{
    config::{ConfigError, Policy, Source, Sources, mask_url},
    domain::{Price, Side, is_source_name},
};

pub(super) fn check(sources: &Sources) -> Result<(), ConfigError> {
    let enabled = sources.enabled();
    if enabled.is_empty() {
        return Err(not_allowed(
            "sources",
            "all sources are disabled",
            "set enabled = true for at least one source",
        ));
    }
    within("sources.quorum", sources.quorum, 1..=100)?;
    if sources.policy == Policy::Median && enabled.len() < sources.quorum {
        let reason = format!(
            "only {} sources are enabled: enable more sources, or lower the quorum",
            enabled.len()
        );
        return Err(not_allowed("sources.quorum", &sources.quorum.to_string(), &reason));
    }
    let highest = Price::MAX.unsigned_abs();
    if !(1..=highest).contains(&sources.highest) {
        let reason = format!("give a price in pesos from 1 to {highest}");
        return Err(not_allowed("sources.highest", &sources.highest.to_string(), &reason));
    }
    if sources.lowest > sources.highest {
        let reason = "give at most the value of sources.highest";
        return Err(not_allowed("sources.lowest", &sources.lowest.to_string(), reason));
    }
    if !(0.001..=10.0).contains(&sources.max_jump) {
        let reason = "give a fraction from 0.001 to 10.0";
        return Err(not_allowed("sources.max_jump", &sources.max_jump.to_string(), reason));
    }
    sources.named.iter().try_for_each(|(name, source)| one(name, source, sources.price))
}

fn one(name: &str, source: &Source, side: Side) -> Result<(), ConfigError> {
    let key = |key: &str| format!("sources.{name}.{key}");
    if !is_source_name(name) {
        let reason = "give a source a name of 1 to 32 characters of a-z, 0-9, - and _, with at \
                      least one letter";
        return Err(not_allowed("sources", &format!("{name:?}"), reason));
    }
    if !matches!(source.url.scheme(), "http" | "https") {
        let reason = "give a URL that starts with http:// or https://";
        return Err(not_allowed(&key("url"), &mask_url(source.url.as_str()), reason));
    }
    if source.enabled && side != Side::Ask && source.bid.is_none() {
        let reason = "sources.price requires the bid: give its location, or disable the source";
        return Err(not_allowed(&key("bid"), "\"\"", reason));
    }
    for (number, header) in (1..).zip(&source.headers) {
        let fine = header.split_once(':').is_some_and(|(name, value)| {
            name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value.trim()).is_ok()
        });
        if !fine {
            // The value is not shown, because it may be a secret.
            let reason = "give each header as \"Name: value\"";
            return Err(not_allowed(&key("headers"), &format!("... (number {number})"), reason));
        }
    }
    let (second, minutes) = (Duration::from_secs(1), Duration::from_mins(10));
    lasting(&key("timeout"), source.timeout, Duration::from_millis(10)..=minutes)?;
    lasting(&key("max_age"), source.max_age, second..=Duration::from_hours(24))?;
    let weight = usize::try_from(source.weight).unwrap_or(usize::MAX);
    within(&key("weight"), weight, 1..=1000)
}

fn not_allowed(key: &str, value: &str, reason: &str) -> ConfigError {
    ConfigError::NotAllowed {
        key: key.to_owned(),
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}
