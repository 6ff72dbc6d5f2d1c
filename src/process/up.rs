//! `cotiza up`: runs all processes of Cotiza on one machine, as child processes. Depends on `config`,
//! `http_client` and `healthcheck`.

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
use backon::BackoffBuilder as _;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use self::child::{Child, StopOrder, Supervisor};
use super::healthcheck;
use crate::{
    backoff,
    config::{self, Config, ConfigError, Flags, variable},
    connection::redacted,
    http_client,
};

/// The arguments of `cotiza up`, which are passed on to its children.
#[derive(Debug, Default)]
pub struct UpArguments {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The flags that were given.
    pub flags: Flags,
    /// Whether to use the simulated exchange instead of real ones.
    pub simulate: bool,
}

/// Runs a Redis server (unless another Redis is configured), a scheduler, the workers, the API and, if
/// `call.simulate` is set, the simulated exchange, with a separate data folder. A child that ends is
/// restarted. On `shutdown`, the children are stopped in order.
///
/// # Errors
/// Returns an error if a port or the data folder is in use, or if redis-server is not installed or does not
/// start.
pub async fn run(
    config: &Config,
    call: &UpArguments,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut config = config.clone();
    if call.simulate {
        config.up.data_dir = config::simulated_data_dir(&config.up);
    }
    let config = &config;
    if let Some(listen) = config.metrics.listen {
        let reason = "its processes cannot share an address; remove it: /metrics of the api \
                      includes the metrics of all processes";
        let (key, value) = ("metrics.listen with cotiza up".to_owned(), listen.to_string());
        return Err(ConfigError::NotAllowed { key, value, reason: reason.to_owned() }.into());
    }
    check_is_free(config.api.listen, "api.listen").await?;
    if call.simulate {
        check_is_free(config.exchange.listen, "exchange.listen").await?;
    }
    let mut supervisor = Supervisor::new(config.log.format);
    let mut redis_url = config.redis.url.clone();
    // Held until the end: it prevents a second `cotiza up` with the same data folder.
    let mut _lock = None;
    if !config.is_redis_configured {
        _lock = Some(redis_server::claim(&config.up).await?);
        redis_url = format!("redis://127.0.0.1:{}/0", config.up.redis_port);
        let redis = Child::new("redis", redis_server::command(&config.up)?);
        supervisor.start(StopOrder::Redis, redis.must_start());
    }
    for (stop_order, name, role) in roles(config, call.simulate) {
        let command = role_command(config, call, role, &redis_url)?;
        supervisor.start(stop_order, Child::new(&name, command));
    }
    let running = async {
        wait_until_ready(config).await?;
        print_addresses(config, call.simulate, &redis_url)?;
        if !call.simulate {
            suggestion::suggest(config, &origin(config.api.listen)).await;
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = running => ended,
        error = supervisor.start_failed() => {
            Err(anyhow::Error::msg(format!("{error}; {}", redis_server::advice(&config.up))))
        }
        () = shutdown.cancelled() => Ok(()),
    };
    supervisor.stop(config.worker.drain + Duration::from_secs(2)).await;
    ended
}

/// Returns the children besides Redis: when they are stopped, their names, and their roles.
fn roles(config: &Config, simulate: bool) -> Vec<(StopOrder, String, &'static str)> {
    let mut roles = vec![
        (StopOrder::Server, "api".to_owned(), "api"),
        (StopOrder::Scheduler, "scheduler".to_owned(), "scheduler"),
    ];
    if simulate {
        roles.push((StopOrder::Server, "exchange".to_owned(), "exchange"));
    }
    let worker = |n| (StopOrder::Worker, format!("worker-{n}"), "worker");
    roles.extend((1..=config.up.workers).map(worker));
    roles
}

/// Returns the command that runs a role with the configuration of this process. Flags are passed on as
/// environment variables, since not every role has every flag.
fn role_command(
    config: &Config,
    call: &UpArguments,
    role: &str,
    redis_url: &str,
) -> anyhow::Result<tokio::process::Command> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = tokio::process::Command::new(program);
    command.arg(role).arg("--supervised");
    if let Some(file) = &call.file {
        command.arg("--config").arg(file);
    }
    for (key, value) in &call.flags {
        command.env(variable(key), value);
    }
    command.env(variable("redis.url"), redis_url);
    if !config.is_redis_configured {
        let file = config::own_password_file(&config.up.data_dir);
        command.env(variable("redis.password_file"), file);
    }
    if call.simulate {
        command.envs(config::simulation(config));
    }
    Ok(command)
}

/// Returns an error if the address is in use: a child would fail to listen on it again and again.
async fn check_is_free(listen: SocketAddr, key: &str) -> anyhow::Result<()> {
    let variable = variable(key);
    ensure!(
        listen.port() != 0,
        "{key} must have a fixed port: clients would not find a random one"
    );
    TcpListener::bind(listen).await.map(drop).with_context(|| {
        format!("cannot listen on {listen}; choose another address with {key} or {variable}")
    })
}

/// Waits until the API is ready. If that takes long, logs the reason once.
async fn wait_until_ready(config: &Config) -> anyhow::Result<()> {
    let client = http_client::local(healthcheck::TIMEOUT)?;
    let mut delays =
        backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)).build();
    let started = Instant::now();
    let mut is_logged = false;
    while let Err(error) = healthcheck::api_with(&client, config.api.listen).await {
        if !is_logged && started.elapsed() > Duration::from_secs(3) {
            tracing::info!("still waiting for the API: {error:#}");
            is_logged = true;
        }
        sleep(delays.next().unwrap_or_default()).await;
    }
    Ok(())
}

/// Prints the addresses of the page, the API and its documentation, and where the data are.
fn print_addresses(config: &Config, simulate: bool, redis_url: &str) -> anyhow::Result<()> {
    let origin = origin(config.api.listen);
    let folder = config.up.data_dir.display();
    let (data, simulated) = if config.is_redis_configured {
        let warning = "SIMULATED PRICES are stored in this Redis, which may contain real ones";
        (redacted(&config.redis.url), warning.to_owned())
    } else {
        let note = format!("SIMULATED PRICES, stored separately from real ones in {folder}");
        (format!("{redis_url}, stored in {folder}"), note)
    };
    let simulated = if simulate { format!("  {simulated}\n") } else { String::new() };
    writeln!(
        std::io::stdout(),
        "\nCotiza is up.\n  page  {origin}/\n  API   {origin}/api/latest/\n  docs  {origin}/docs\n  \
         data  {data}\n{simulated}Ctrl-C stops it.\n"
    )?;
    Ok(())
}

/// Returns the URL of the API on this machine.
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
