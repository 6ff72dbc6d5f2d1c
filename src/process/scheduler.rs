//! The scheduler process: enqueues one job a slot. Any number of them may run: a job's key lets
//! it be enqueued once, whoever comes first.

use std::{future::pending, pin::pin, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    config::Config,
    domain::{Slot, Slots},
    jobs::FetchBtcArs,
    queue::{Enqueuer, slot_starts},
    store::{Role, Store},
};

struct Scheduler {
    enqueuer: Enqueuer<FetchBtcArs>,
    store: Store,
    name: String,
}

/// Enqueues the current slot's job at once, then each slot's as it starts, until `shutdown`.
///
/// # Errors
/// If the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let slots = Slots::new(config.schedule.every)?;
    let (store, client) = super::store(config)?;
    let scheduler =
        Scheduler { enqueuer: Enqueuer::new(&client, &config.queue)?, store, name: super::name() };
    tracing::info!(every = ?slots.length(), name = scheduler.name, "the scheduler runs");
    let mut ticks = pin!(slot_starts(slots));
    let mut due = None;
    loop {
        // A tick takes the place of one whose job could not be enqueued all the while: its slot
        // is over.
        tokio::select! {
            next = ticks.next() => due = next,
            () = scheduler.schedule(due) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

impl Scheduler {
    /// Sees to it that the slot's job is in the queue, however often Redis fails; never returns.
    async fn schedule(&self, due: Option<Slot>) {
        if let Some(slot) = due {
            self.enqueue(slot).await;
        }
        pending::<()>().await;
    }

    async fn enqueue(&self, slot: Slot) {
        let job = FetchBtcArs { slot: slot.start() };
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(400))
            .with_jitter()
            .without_max_times();
        let enqueued = (|| self.enqueuer.enqueue(&job))
            .retry(delays)
            .notify(|error, _| tracing::warn!(%error, "enqueueing again"))
            .await;
        tracing::debug!(slot = job.slot, ?enqueued, "scheduled");
        if let Err(error) =
            self.store.seen(Role::Scheduler, &self.name, clock::unix_seconds()).await
        {
            tracing::debug!(%error, "no sign of life given");
        }
    }
}
