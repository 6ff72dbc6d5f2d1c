//! The worker process: takes jobs and runs them. Any number of them may run.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    config::Config,
    domain::Slots,
    exchange::{self, Buenbit},
    jobs::{FetchBtcArs, FetchContext},
    queue::{self, Pulse},
    store::{Role, Store},
};

/// How often a worker that looks into its queue says so, for health checks.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Works until `shutdown`, then finishes the jobs in flight. Redis may be away meanwhile.
///
/// # Errors
/// If the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, client) = super::store(config)?;
    let timeout = config.worker.attempt_timeout;
    let http = exchange::client(timeout).context("cannot set up HTTPS")?;
    let source = Buenbit::new(http, config.sources.buenbit.url.clone(), timeout);
    let context = FetchContext {
        slots: Slots::new(config.schedule.every)?,
        source: Arc::new(source),
        store: store.clone(),
    };
    let (name, pulse) = (super::name(), Pulse::default());
    tracing::info!(concurrency = config.worker.concurrency, name, "the worker runs");
    tokio::select! {
        ended = queue::work::<FetchBtcArs>(client, config, context, &name, pulse.clone(), shutdown) => {
            Ok(ended?)
        }
        () = show_life(&store, &name, &pulse) => Ok(()),
    }
}

/// Says for ever that this worker is at work, as long as it really looks into its queue.
async fn show_life(store: &Store, name: &str, pulse: &Pulse) {
    let mut ticks = interval(SIGN_OF_LIFE);
    loop {
        ticks.tick().await;
        if !pulse.is_within(5) {
            continue;
        }
        if let Err(error) = store.seen(Role::Worker, name, clock::unix_seconds()).await {
            tracing::debug!(%error, "no sign of life given");
        }
    }
}
