//! `cotiza up`: all of Cotiza on one machine, each part a child process of this one.

mod child;
mod lines;
mod redis_server;
mod suggestion;

pub use redis_server::become_redis;

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use self::child::{Child, Family, Rank};
use super::healthcheck;
use crate::{
    config::{self, Config, ConfigError, Flags, variable},
    connection::shown,
    http_client,
};

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
/// to simulate, the exchange; the data folder of its Redis is then another one. A child that dies is
/// started again. On `shutdown` they are stopped in order.
///
/// # Errors
/// If a port is taken, the data folder is in use, or there is no redis-server.
pub async fn run(config: &Config, call: &Call, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut config = config.clone();
    if call.simulate {
        config.up.data_dir = config::simulated_data_dir(&config.up);
    }
    let config = &config;
    if let Some(listen) = config.metrics.listen {
        let reason = "its processes cannot share an address: leave it out; /metrics of the api tells of \
                      all of them";
        let (key, value) = ("metrics.listen with cotiza up".to_owned(), listen.to_string());
        return Err(ConfigError::NotAllowed { key, value, reason: reason.to_owned() }.into());
    }
    is_free(config.api.listen, "api.listen").await?;
    if call.simulate {
        is_free(config.exchange.listen, "exchange.listen").await?;
    }
    let mut family = Family::new(config.log.format);
    let mut redis_url = config.redis.url.clone();
    // Held until the end: it keeps a second `cotiza up` off the same data.
    let mut _lock = None;
    if !config.is_redis_chosen {
        _lock = Some(redis_server::claim(&config.up).await?);
        redis_url = format!("redis://127.0.0.1:{}/0", config.up.redis_port);
        let redis = Child::new("redis", redis_server::command(&config.up)?);
        family.start(Rank::Redis, redis.must_start());
    }
    for (rank, name, role) in members(config, call.simulate) {
        let command = role_command(config, call, role, &redis_url)?;
        family.start(rank, Child::new(&name, command));
    }
    let running = async {
        ready(config).await?;
        announce(config, call.simulate, &redis_url)?;
        if !call.simulate {
            suggestion::suggest(config, &origin(config.api.listen)).await;
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = running => ended,
        why = family.given_up() => {
            Err(anyhow::Error::msg(format!("{why}; {}", redis_server::advice(&config.up))))
        }
        () = shutdown.cancelled() => Ok(()),
    };
    family.stop(config.worker.drain + Duration::from_secs(2)).await;
    ended
}

/// The children besides Redis: when they are stopped, their names, their roles.
fn members(config: &Config, simulate: bool) -> Vec<(Rank, String, &'static str)> {
    let mut members = vec![
        (Rank::Server, "api".to_owned(), "api"),
        (Rank::Scheduler, "scheduler".to_owned(), "scheduler"),
    ];
    if simulate {
        members.push((Rank::Server, "exchange".to_owned(), "exchange"));
    }
    let worker = |n| (Rank::Worker, format!("worker-{n}"), "worker");
    members.extend((1..=config.up.workers).map(worker));
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
    if !config.is_redis_chosen {
        let file = config::own_password_file(&config.up.data_dir);
        command.env(variable("redis.password_file"), file);
    }
    if call.simulate {
        command.envs(config::simulation(config));
    }
    Ok(command)
}

/// Refuses to start what could only fail again and again.
async fn is_free(listen: SocketAddr, key: &str) -> anyhow::Result<()> {
    let variable = variable(key);
    ensure!(
        listen.port() != 0,
        "{key} must name a port: nobody would find the API on a random one"
    );
    TcpListener::bind(listen).await.map(drop).with_context(|| {
        format!("cannot listen on {listen}; choose another address with {key} or {variable}")
    })
}

/// Returns once the API can serve; says what it waits for where that takes long.
async fn ready(config: &Config) -> anyhow::Result<()> {
    let client = http_client::local(healthcheck::TIMEOUT)?;
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .build();
    let started = Instant::now();
    let mut told = false;
    while let Err(error) = healthcheck::api_with(&client, config.api.listen).await {
        if !told && started.elapsed() > Duration::from_secs(3) {
            tracing::info!("still waiting for the API: {error:#}");
            told = true;
        }
        sleep(delays.next().unwrap_or_default()).await;
    }
    Ok(())
}

/// Says where everything is.
fn announce(config: &Config, simulate: bool, redis_url: &str) -> anyhow::Result<()> {
    let origin = origin(config.api.listen);
    let folder = config.up.data_dir.display();
    let (data, simulated) = if config.is_redis_chosen {
        let warning = "SIMULATED PRICES go into this Redis, which may hold real ones";
        (shown(&config.redis.url), warning.to_owned())
    } else {
        let note = format!("SIMULATED PRICES, kept apart from real ones in {folder}");
        (format!("{redis_url}, kept in {folder}"), note)
    };
    let simulated = if simulate { format!("  {simulated}\n") } else { String::new() };
    writeln!(
        std::io::stdout(),
        "\nCotiza is up.\n  page  {origin}/\n  API   {origin}/api/latest/\n  docs  {origin}/docs\n  \
         data  {data}\n{simulated}Ctrl-C stops it.\n"
    )?;
    Ok(())
}

/// The URL of the API as it is reached from this machine.
fn origin(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        let loopback = match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        listen.set_ip(loopback);
    }
    format!("http://{listen}")
}
