//! `cotiza healthcheck`: asks from outside whether the process of a role on this machine, or in
//! this container, is well. For images that have no curl.

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

/// The kinds of process that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Checked {
    /// Has it lately enqueued a job?
    Scheduler,
    /// Has it lately looked into its queue?
    Worker,
    /// Is it ready to answer?
    Api,
}

/// The longest that the API may take to say that it is ready.
pub(super) const TIMEOUT: Duration = Duration::from_secs(4);

/// Checks the process of the role on this machine; prints the age of the last price.
///
/// # Errors
/// If it is not well; the message says why.
pub async fn run(config: &Config, role: Checked) -> anyhow::Result<()> {
    match role {
        Checked::Api => api(config.api.listen).await,
        Checked::Worker => seen(config, Role::Worker).await,
        Checked::Scheduler => seen(config, Role::Scheduler).await,
    }
}

/// A wrong clock of this machine, which does no harm, is logged.
async fn seen(config: &Config, role: Role) -> anyhow::Result<()> {
    let (store, _) = super::store(config)?;
    let (host, name) = (super::host(), role.name());
    store.ask_time().await?;
    let mut here = store.processes().await?;
    here.retain(|process| process.role == role && process.host == host);
    let Some(latest) = here.iter().min_by_key(|process| process.silence) else {
        bail!("no {name} of host {host} has been at work");
    };
    let silence = latest.silence;
    ensure!(latest.is_alive(), "the {name} of host {host} was last at work {silence} s ago");
    if role == Role::Worker && config.worker.unhealthy_when_stale {
        here.retain(ProcessReport::is_alive);
        records(&here, config.stale_after(), store.clock().unix_seconds())?;
    }
    let newest = store.counts().await?.newest;
    #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
    let age = newest.map(|at| store.clock().unix_seconds() - at as i64);
    report(name, age)
}

/// Whether one of the workers has recorded something lately, or none of them had a job to do.
fn records(workers: &[ProcessReport], stale_after: i64, now: i64) -> anyhow::Result<()> {
    let is_recent = |at: Option<i64>| at.is_some_and(|at| now - at <= stale_after);
    let has_jobs = |worker: &&ProcessReport| is_recent(worker.activity.begun);
    // One that was just started has had no time to record anything.
    let is_stuck =
        |worker: &ProcessReport| !is_recent(worker.activity.recorded.max(worker.started_at));
    let with_jobs: Vec<_> = workers.iter().filter(has_jobs).collect();
    if with_jobs.is_empty() || !with_jobs.iter().all(|worker| is_stuck(worker)) {
        return Ok(());
    }
    bail!(
        "the workers of this host run jobs and have recorded nothing for {stale_after} s; \
         `cotiza sources check` tells why"
    )
}

async fn api(listen: SocketAddr) -> anyhow::Result<()> {
    let client = http_client::local(TIMEOUT)?;
    report("api", api_with(&client, listen).await?)
}

/// What is read of the answer of an api that is ready.
#[derive(Deserialize)]
struct Ready {
    /// The seconds since the last price was observed.
    age: Option<i64>,
}

/// Prints that a process is well, and the age of the last price in seconds.
fn report(name: &str, age: Option<i64>) -> anyhow::Result<()> {
    let price = age.map_or_else(
        || "no price is recorded".to_owned(),
        |age| format!("the last price is {} s old", age.max(0)),
    );
    writeln!(io::stdout(), "the {name} is well; {price}").context("cannot write to standard output")
}

/// As [`run`] for the API, with a client that the caller keeps; gives the age of the last price in seconds.
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
    let answer = client.get(&url).send().await;
    let answer = answer.with_context(|| format!("cannot reach {url}"))?;
    let status = answer.status();
    ensure!(status.is_success(), "{url} answered {status}");
    let text = answer.text().await.unwrap_or_default();
    Ok(serde_json::from_str::<Ready>(&text).ok().and_then(|ready| ready.age))
}
