//! `cotiza healthcheck`: asks from outside whether the process of a role on this machine, or in
//! this container, is well. For images that have no curl.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use reqwest::Client;

use crate::{config::Config, http_client, store::Role};

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
/// The seconds after which a worker that says nothing is not well.
const WORKER_SILENCE: i64 = 10;

/// Checks the process of the role on this machine.
///
/// # Errors
/// If it is not well; the message says why.
pub async fn run(config: &Config, role: Checked) -> anyhow::Result<()> {
    let every = i64::try_from(config.schedule.every.as_secs())?;
    match role {
        Checked::Api => api(config.api.listen).await,
        Checked::Worker => seen(config, Role::Worker, WORKER_SILENCE).await,
        Checked::Scheduler => seen(config, Role::Scheduler, 2 * every + 5).await,
    }
}

/// A wrong clock of this machine, which does no harm, is logged.
async fn seen(config: &Config, role: Role, at_most: i64) -> anyhow::Result<()> {
    let (store, _) = super::store(config)?;
    let host = super::host();
    store.ask_time().await?;
    let Some(silent) = store.silence(role, &host).await? else {
        bail!("no {role:?} of host {host} has been at work");
    };
    ensure!(silent <= at_most, "the {role:?} of host {host} was last at work {silent} s ago");
    Ok(())
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
