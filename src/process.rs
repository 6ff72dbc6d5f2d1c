//! The processes: each wires the other rooms together and runs until it is told to stop.

pub mod api;
pub mod exchange;
pub mod healthcheck;
pub mod openapi;
pub mod prices;
pub mod scheduler;
pub mod up;
pub mod worker;

mod http;

use anyhow::Context as _;

use crate::{config::Config, domain::Slots, store::Store};

/// The store and the client of the configured Redis.
fn store(config: &Config) -> anyhow::Result<(Store, redis::Client)> {
    let client = redis::Client::open(config.redis.url.as_str()).context("redis.url")?;
    let slots = Slots::new(config.schedule.every)?;
    Ok((Store::new(&client, slots)?, client))
}

/// The name of this process among all on all machines: `<host>-<pid>`.
fn name() -> String {
    format!("{}-{}", host(), std::process::id())
}

/// The name of this machine or container.
fn host() -> String {
    let host = nix::unistd::gethostname().unwrap_or_else(|_| "unknown".into());
    host.to_string_lossy().into_owned()
}
