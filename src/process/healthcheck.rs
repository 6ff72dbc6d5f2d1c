//! `cotiza healthcheck`: checks whether the process of a role on this machine, or in this container, is
//! healthy. It works in images without curl. Depends on `config`, `http_client` and `store`.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use reqwest::Client;
use serde::Deserialize;

use crate::{
    config::Config,
    http_client,
    store::{ProcessReport, Role},
};

/// The roles of the processes that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckedRole {
    /// Whether the scheduler has recently enqueued a job
    Scheduler,
    /// Whether the worker has recently checked its queue and records prices
    Worker,
    /// Whether the API is ready to answer requests
    Api,
}

/// The timeout of the request that checks whether the API is ready.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

/// Checks the process of the role on this machine and prints the age of the last price.
///
/// # Errors
/// Returns an error if the process is not healthy; the message contains the reason.
pub async fn run(config: &Config, role: CheckedRole) -> anyhow::Result<()> {
    match role {
        CheckedRole::Api => api(config.api.listen).await,
        CheckedRole::Worker => heartbeat(config, Role::Worker).await,
        CheckedRole::Scheduler => heartbeat(config, Role::Scheduler).await,
    }
}

/// Checks the last heartbeat of the role on this machine.
async fn heartbeat(config: &Config, role: Role) -> anyhow::Result<()> {
    let (store, _) = super::store(config)?;
    let (host, name) = (super::host(), role.name());
    store.sync_clock().await?;
    let mut here = store.processes().await?;
    here.retain(|process| process.role == role && process.host == host);
    let Some(latest) = here.iter().min_by_key(|process| process.silence) else {
        bail!("no {name} is running on the host {host}: start `cotiza {name}`");
    };
    let silence = latest.silence;
    ensure!(
        latest.is_alive(),
        "the {name} on the host {host} has sent no heartbeat for {silence} s: check its log"
    );
    if role == Role::Worker && config.worker.unhealthy_when_stale {
        here.retain(ProcessReport::is_alive);
        records(&here, config.stale_after(), store.clock().unix_seconds())?;
    }
    let newest = store.counts().await?.newest;
    #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
    let age = newest.map(|at| store.clock().unix_seconds() - at as i64);
    report(name, age)
}

/// Checks that one of the workers has recently recorded something, or that none of them had a job to run.
fn records(workers: &[ProcessReport], stale_after: i64, now: i64) -> anyhow::Result<()> {
    let is_recent = |at: Option<i64>| at.is_some_and(|at| now - at <= stale_after);
    let has_jobs = |worker: &&ProcessReport| is_recent(worker.activity.started);
    // A worker that has just started may not have recorded anything yet.
    let is_stuck =
        |worker: &ProcessReport| !is_recent(worker.activity.recorded.max(worker.started_at));
    let with_jobs: Vec<_> = workers.iter().filter(has_jobs).collect();
    if with_jobs.is_empty() || !with_jobs.iter().all(|worker| is_stuck(worker)) {
        return Ok(());
    }
    bail!(
        "the workers on this host run jobs but have recorded nothing for {stale_after} s; \
         `cotiza sources check` shows why"
    )
}

async fn api(listen: SocketAddr) -> anyhow::Result<()> {
    let client = http_client::local(TIMEOUT)?;
    report("api", api_with(&client, listen).await?)
}

/// The part of the response of a ready api that is read.
#[derive(Deserialize)]
struct Ready {
    /// The time since the last price was observed, in seconds.
    age: Option<i64>,
}

/// Prints that a process is healthy, and the age of the last price in seconds.
fn report(name: &str, age: Option<i64>) -> anyhow::Result<()> {
    let price = age.map_or_else(
        || "no price has been recorded".to_owned(),
        |age| format!("the last price is {} s old", age.max(0)),
    );
    writeln!(io::stdout(), "the {name} is healthy; {price}")
        .context("cannot write to standard output")
}

/// Checks the API with a client that the caller can reuse. Returns the age of the last price in seconds.
pub(super) async fn api_with(
    client: &Client,
    mut listen: SocketAddr,
) -> anyhow::Result<Option<i64>> {
    if listen.ip().is_unspecified() {
        let loopback = match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        listen.set_ip(loopback);
    }
    let url = format!("http://{listen}/health/ready");
    let response = client.get(&url).send().await;
    let response = response.with_context(|| format!("cannot reach {url}"))?;
    let status = response.status();
    ensure!(status.is_success(), "{url} responded with the status {status}");
    let text = response.text().await.unwrap_or_default();
    Ok(serde_json::from_str::<Ready>(&text).ok().and_then(|ready| ready.age))
}
