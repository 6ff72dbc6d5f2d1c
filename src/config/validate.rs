//! Checks that values are within their allowed ranges. Depends on `connection` and `domain`.

use std::{ops::RangeInclusive, time::Duration};

use humantime::format_duration;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{Config, ConfigError};
use crate::connection::Server;
use crate::domain::{Slots, SlotsError};

mod api;
mod sources;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    slots("schedule.every", config.schedule.every)?;
    slots("queue.housekeeping_every", config.queue.housekeeping_every)?;
    at_least_a_day("prices.keep", config.prices.keep)?;
    at_least_a_day("prices.text", config.prices.text)?;
    Server::new(config.redis.clone())?;
    sources::check(&config.sources)?;
    log_level(&config.log.level)?;
    if config.up.data_dir.as_os_str().is_empty() {
        return Err(ConfigError::NotAllowed {
            key: "up.data_dir".to_owned(),
            value: "\"\"".to_owned(),
            reason: "give the name of a folder, such as data".to_owned(),
        });
    }
    within("worker.concurrency", config.worker.concurrency, 1..=256)?;
    within("queue.missed_heartbeats", config.queue.missed_heartbeats, 2..=100)?;
    within("up.workers", config.up.workers, 1..=32)?;
    within("up.redis_port", usize::from(config.up.redis_port), 1..=65535)?;
    share("exchange.error_rate", config.exchange.error_rate)?;
    share("exchange.malformed_rate", config.exchange.malformed_rate)?;
    let (second, minutes, month) =
        (Duration::from_secs(1), Duration::from_mins(10), Duration::from_hours(30 * 24));
    lasting("worker.drain", config.worker.drain, Duration::ZERO..=minutes)?;
    lasting("queue.keep_done", config.queue.keep_done, second..=month)?;
    lasting("queue.keep_dead", config.queue.keep_dead, second..=month)?;
    lasting("api.stale_for", config.api.stale_for, Duration::ZERO..=month)?;
    api::check(&config.api)?;
    heartbeat(config.queue.heartbeat)
}

fn at_least_a_day(key: &str, age: Option<Duration>) -> Result<(), ConfigError> {
    age.filter(|age| *age < Duration::from_hours(24)).map_or(Ok(()), |age| {
        Err(ConfigError::NotAllowed {
            key: key.to_owned(),
            value: format_duration(age).to_string(),
            reason: "give \"forever\" or a duration of at least 1day".to_owned(),
        })
    })
}

/// Checks directives. A single word must be a level, because `tracing` would use any other word as the name
/// of a module.
fn log_level(level: &str) -> Result<(), ConfigError> {
    let alone = |directive: &str| !directive.contains(['=', '[']);
    let is_level = |directive: &str| directive.trim().parse::<LevelFilter>().is_ok();
    let words = level.split(',').all(|directive| !alone(directive) || is_level(directive));
    if words && !level.trim().is_empty() && EnvFilter::try_new(level).is_ok() {
        return Ok(());
    }
    let reason = "give error, warn, info, debug or trace, or directives such as \
                  info,cotiza::queue=debug";
    let value = format!("{level:?}");
    Err(ConfigError::NotAllowed { key: "log.level".to_owned(), value, reason: reason.to_owned() })
}

fn slots(key: &str, length: Duration) -> Result<(), ConfigError> {
    let value = format_duration(length).to_string();
    let wrong = |error: SlotsError| ConfigError::NotAllowed {
        key: key.to_owned(),
        value,
        reason: error.to_string(),
    };
    Slots::new(length).map(|_| ()).map_err(wrong)
}

fn within(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("give a whole number from {} to {}", range.start(), range.end());
    Err(ConfigError::NotAllowed { key: key.to_owned(), value: value.to_string(), reason })
}

fn share(key: &str, value: f64) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let reason = "give a fraction from 0.0 to 1.0".to_owned();
    Err(ConfigError::NotAllowed { key: key.to_owned(), value: value.to_string(), reason })
}

fn lasting(key: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
    let reason = format!("give a duration from {least} to {most}");
    Err(ConfigError::NotAllowed {
        key: key.to_owned(),
        value: format_duration(value).to_string(),
        reason,
    })
}

/// Checks for whole seconds, because apalis-redis counts heartbeats in whole seconds.
fn heartbeat(value: Duration) -> Result<(), ConfigError> {
    if value.subsec_nanos() == 0 && (1..=60).contains(&value.as_secs()) {
        return Ok(());
    }
    Err(ConfigError::NotAllowed {
        key: "queue.heartbeat".to_owned(),
        value: format_duration(value).to_string(),
        reason: "give whole seconds from 1s to 60s".to_owned(),
    })
}

#[cfg(test)]
mod tests;
