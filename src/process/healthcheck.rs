//! `cotiza healthcheck`: asks from outside whether the process of a role on this machine, or in
//! this container, is well. For images that have no curl.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use reqwest::Client;

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
/// Checks the process of the role on this machine.
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
        let stale_after = i64::try_from(config.stale_after().as_secs())?;
        records(&here, stale_after, store.clock().unix_seconds())?;
    }
    Ok(())
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
    api_with(&client, listen).await
}

/// As [`run`] for the API, with a client that the caller keeps.
pub(super) async fn api_with(client: &Client, mut listen: SocketAddr) -> anyhow::Result<()> {
    if listen.ip().is_unspecified() {
        let loopback = match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        listen.set_ip(loopback);
    }
    let url = format!("http://{listen}/health/ready");
    let answer = client.get(&url).send().await;
    let status = answer.with_context(|| format!("cannot reach {url}"))?.status();
    ensure!(status.is_success(), "{url} answered {status}");
    Ok(())
}
