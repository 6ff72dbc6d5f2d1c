//! The scheduler process: enqueues each job when it is due. Any number of them may run: a job's key lets
//! it be enqueued once, whoever comes first.

use std::{future::pending, pin::pin, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    config::Config,
    domain::{Slot, Slots},
    jobs::{self, Runner, ScheduledJob},
    queue::{Enqueuer, Job, slot_starts},
    store::{Role, Store},
};

struct Scheduler<'a> {
    config: &'a Config,
    shutdown: &'a CancellationToken,
    client: redis::Client,
    store: Store,
    name: String,
}

/// Enqueues what is due at once, then each job as it becomes due, until `shutdown`.
///
/// # Errors
/// If the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, client) = super::store(config)?;
    let scheduler = Scheduler { config, shutdown, client, store, name: super::name() };
    tracing::info!(every = ?config.schedule.every, name = scheduler.name, "the scheduler runs");
    jobs::run_each(&scheduler).await
}

impl Runner for Scheduler<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let slots = Slots::new(J::every(self.config))?;
        let enqueuer = Enqueuer::new(&self.client, &self.config.queue)?;
        let mut ticks = pin!(slot_starts(slots));
        let mut due = None;
        loop {
            // A tick takes the place of one whose job could not be enqueued all the while: its
            // slot is over.
            tokio::select! {
                next = ticks.next() => due = next,
                () = self.schedule::<J>(due, &enqueuer) => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

impl Scheduler<'_> {
    /// Sees to it that the slot's job is in the queue, however often Redis fails; never returns.
    async fn schedule<J: ScheduledJob>(&self, due: Option<Slot>, enqueuer: &Enqueuer<J>) {
        if let Some(slot) = due {
            self.enqueue(&J::due(slot), enqueuer).await;
        }
        pending::<()>().await;
    }

    async fn enqueue<J: Job>(&self, job: &J, enqueuer: &Enqueuer<J>) {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(400))
            .with_jitter()
            .without_max_times();
        let enqueued = (|| enqueuer.enqueue(job))
            .retry(delays)
            .notify(|error, _| tracing::warn!(%error, "enqueueing again"))
            .await;
        tracing::debug!(?job, ?enqueued, "scheduled");
        let now = clock::unix_seconds();
        if let Err(error) = self.store.seen(Role::Scheduler, &self.name, now).await {
            tracing::debug!(%error, "no sign of life given");
        }
    }
}
