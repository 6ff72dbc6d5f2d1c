//! `cotiza up`: all of Cotiza on one machine, each part a child process of this one.

mod child;
mod redis_server;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use self::child::{Child, Family};
use super::healthcheck::{self, Checked};
use crate::config::{Config, Flags};

/// How `cotiza up` was called, for its children to be called alike.
#[derive(Debug, Default)]
pub struct Call {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The flags given.
    pub flags: Flags,
    /// Whether to ask the simulated exchange instead of the real one.
    pub simulate: bool,
}

/// Runs its own Redis (unless another one was chosen), one scheduler, the workers, the API and,
/// to simulate, the exchange. A child that dies is started again. On `shutdown` they are stopped
/// in order.
///
/// # Errors
/// If a port is taken, the data folder is in use, or there is no redis-server.
pub async fn run(config: &Config, call: &Call, shutdown: &CancellationToken) -> anyhow::Result<()> {
    is_free(config.api.listen, "api.listen").await?;
    if call.simulate {
        is_free(config.exchange.listen, "exchange.listen").await?;
    }
    let mut family = Family::new(config.log.format);
    let mut redis_url = config.redis.url.clone();
    // Held until the end: it keeps a second `cotiza up` off the same data.
    let mut _lock = None;
    if !config.redis.chosen {
        _lock = Some(redis_server::claim(&config.up).await?);
        redis_url = format!("redis://127.0.0.1:{}/0", config.up.redis_port);
        family.start(Child::new("redis", redis_server::command(&config.up)?));
    }
    for (name, role) in members(config, call.simulate) {
        family.start(Child::new(&name, role_command(config, call, role, &redis_url)?));
    }
    tokio::select! {
        () = ready(config, &redis_url) => announce(config, &redis_url)?,
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    family.stop(config.worker.drain + Duration::from_secs(2)).await;
    Ok(())
}

/// The children besides Redis, in the order they are started: the last is stopped first.
fn members(config: &Config, simulate: bool) -> Vec<(String, &'static str)> {
    let mut members = Vec::new();
    if simulate {
        members.push(("exchange".to_owned(), "exchange"));
    }
    members.push(("api".to_owned(), "api"));
    members.extend((1..=config.up.workers).map(|n| (format!("worker-{n}"), "worker")));
    members.push(("scheduler".to_owned(), "scheduler"));
    members
}

/// The command that runs a role as we were told to run all of them. Flags are handed on in the
/// environment, since not every role has every flag.
fn role_command(
    config: &Config,
    call: &Call,
    role: &str,
    redis_url: &str,
) -> anyhow::Result<tokio::process::Command> {
    let program = std::env::current_exe().context("cannot find the program that is running")?;
    let mut command = tokio::process::Command::new(program);
    command.arg(role).arg("--supervised");
    if let Some(file) = &call.file {
        command.arg("--config").arg(file);
    }
    for (key, value) in &call.flags {
        command.env(variable(key), value);
    }
    command.env(variable("redis.url"), redis_url);
    if call.simulate {
        let url = format!("http://{}/api/market/tickers", config.exchange.listen);
        command.env(variable("sources.buenbit.url"), url);
    }
    Ok(command)
}

/// The environment variable that sets the key.
fn variable(key: &str) -> String {
    format!("COTIZA__{}", key.to_uppercase().replace('.', "__"))
}

/// Refuses to start what could only fail again and again.
async fn is_free(listen: SocketAddr, key: &str) -> anyhow::Result<()> {
    let variable = variable(key);
    TcpListener::bind(listen).await.map(drop).with_context(|| {
        format!("cannot listen on {listen}; choose another address with {key} or {variable}")
    })
}

/// Returns once the API can serve.
async fn ready(config: &Config, redis_url: &str) {
    let mut config = config.clone();
    redis_url.clone_into(&mut config.redis.url);
    while healthcheck::run(&config, Checked::Api).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

fn announce(config: &Config, redis_url: &str) -> anyhow::Result<()> {
    let api = config.api.listen;
    let data = if config.redis.chosen {
        config.redis.masked_url()
    } else {
        format!("{redis_url}, kept in {}", config.up.data_dir.display())
    };
    writeln!(
        std::io::stdout(),
        "\nCotiza is up.\n  API   http://{api}/api/ticker-list/\n  docs  http://{api}/docs\n  \
         data  {data}\nCtrl-C stops it.\n"
    )?;
    Ok(())
}
