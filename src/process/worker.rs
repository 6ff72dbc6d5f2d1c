//! The worker process: takes jobs from the queues and runs them. Several workers may run. Depends on `jobs`,
//! `queue`, `exchange` and other modules.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    connection::Server,
    domain::Slots,
    exchange::Sources,
    history::{History, Limits},
    jobs::{self, Context, ForEachJob, Housekeeping, Progress, ScheduledJob},
    metrics::Metrics,
    queue::{self, Janitor, Job as _, Liveness},
    store::{Role, Store, StoreError},
};

use super::{
    heartbeat::{self, Heartbeat},
    preflight,
};

/// A worker that has polled its queues within this time is healthy.
const MAX_POLL_AGE: Duration = Duration::from_secs(5);

/// Housekeeping needs no samples in memory.
const SUMMARIES_ONLY: Limits = Limits { memory: 0, stale_for: Duration::MAX };

struct Worker<'a> {
    config: &'a Config,
    shutdown: &'a CancellationToken,
    server: Server,
    context: Context,
    heartbeat: Heartbeat,
    /// One per queue.
    liveness: Mutex<Vec<Liveness>>,
}

/// Runs jobs until `shutdown`, then completes the running jobs. Continues during outages of Redis.
///
/// # Errors
/// Returns an error if the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let metrics = Metrics::default();
    super::metrics::serve(config, Role::Worker, metrics.clone(), shutdown)?;
    let context = Context {
        slots: Slots::new(config.schedule.every)?,
        sources: Sources::new(&config.sources, config.schedule.every, store.clock())?,
        price_filter: super::price_filter(config),
        store: store.clone(),
        history: Arc::new(History::new(store.clone(), SUMMARIES_ONLY)),
        retention: super::retention(config),
        janitor: Janitor::new(&server, jobs::QUEUES.to_vec(), &config.queue),
        metrics: metrics.clone(),
        progress: Progress::default(),
    };
    let heartbeat = Heartbeat::new(store.clone(), Role::Worker, metrics);
    super::log_start("worker", heartbeat.name(), config);
    tokio::spawn(preflight::log(store.clone(), server.clone()));
    tokio::select! {
        () = store.clock().synchronized() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    tokio::spawn(set_slots(store.clone()));
    let worker =
        Worker { config, shutdown, server, context, heartbeat, liveness: Mutex::default() };
    let ended = tokio::select! {
        // Boxed, since it is large.
        ended = Box::pin(jobs::run_for_each_job(&worker)) => ended,
        () = worker.send_heartbeats(&store) => Ok(()),
    };
    worker.heartbeat.deregister().await;
    ended
}

impl ForEachJob for Worker<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let (context, liveness) = (self.context.clone(), Liveness::default());
        self.liveness.lock().unwrap_or_else(PoisonError::into_inner).push(liveness.clone());
        let (name, metrics) = (self.heartbeat.name(), self.context.metrics.clone());
        let (server, config) = (self.server.clone(), self.config.clone());
        let (name, shutdown) = (name.to_owned(), self.shutdown.clone());
        // In its own task: each wake-up of the task makes a worker poll its queue, so that the workers of
        // two queues in one task would wake each other endlessly.
        let working = tokio::spawn(async move {
            queue::work::<J>(&server, &config, context, &name, liveness, metrics, &shutdown).await;
        });
        working.await.context("the task of a queue failed")
    }
}

impl Worker<'_> {
    /// Sends heartbeats while this worker polls its queues. Never returns.
    async fn send_heartbeats(&self, store: &Store) {
        let mut ticks = interval(heartbeat::EVERY);
        let mut last_freed: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let is_healthy = {
                let liveness = self.liveness.lock().unwrap_or_else(PoisonError::into_inner);
                !liveness.is_empty()
                    && liveness.iter().all(|liveness| liveness.is_within(MAX_POLL_AGE))
            };
            let every = self.config.queue.housekeeping_every;
            match self.send_heartbeat(store, is_healthy).await {
                Err(error) if error.is_out_of_memory() => {
                    if last_freed.is_none_or(|at| at.elapsed() >= every) {
                        self.free_memory().await;
                        last_freed = Some(Instant::now());
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot send a heartbeat"),
                Ok(()) => {}
            }
        }
    }

    /// Sends a heartbeat if this worker is healthy. Records whether the clock of Redis was set, and the
    /// states of the circuit breakers.
    async fn send_heartbeat(&self, store: &Store, is_healthy: bool) -> Result<(), StoreError> {
        if is_healthy {
            self.heartbeat.send(self.context.progress.activity()).await?;
        }
        store.record_clock_jump().await?;
        store.record_circuits(self.heartbeat.name(), &self.context.sources.circuits()).await
    }

    /// Runs housekeeping without a job: no job can be enqueued while Redis is full.
    async fn free_memory(&self) {
        tracing::warn!("the memory of Redis is full; starting housekeeping");
        let due = self.context.store.clock().unix_seconds();
        if let Err(error) = (Housekeeping { due }).run(self.context.clone(), 1).await {
            tracing::warn!(%error, "housekeeping failed");
        }
    }
}

/// Records the configured length of slots; retries until it succeeds.
async fn set_slots(store: Store) {
    while let Err(error) = store.set_slots(store.clock().unix_seconds()).await {
        tracing::debug!(%error, "cannot record the length of slots; retrying");
        sleep(heartbeat::EVERY).await;
    }
}
