//! The scheduler process: enqueues each job when it is due. Any number of them may run: a job's key
//! lets it be enqueued once, whoever comes first.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Config,
    domain::{Slot, Slots},
    jobs::{self, Runner, ScheduledJob},
    queue::{Enqueuer, slot_starts},
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
    super::log_start("scheduler", &scheduler.name, config);
    jobs::run_each(&scheduler).await
}

impl Runner for Scheduler<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let slots = Slots::new(J::every(self.config))?;
        let enqueuer = Enqueuer::<J>::new(&self.client)?;
        let clock = self.store.clock();
        let mut ticks = pin!(slot_starts(slots, clock.clone()));
        let (mut due, mut missed) = (None, Vec::new());
        let started = Instant::now();
        tokio::select! {
            () = clock.synchronized() => {
                missed.extend(slots_since(slots, clock, started.elapsed()).map(J::due));
            }
            () = self.shutdown.cancelled() => return Ok(()),
        }
        loop {
            // A tick takes the place of one whose job could not be enqueued all the while: its
            // slot is over.
            tokio::select! {
                next = ticks.next() => missed.extend(std::mem::replace(&mut due, next).map(J::due)),
                () = self.enqueue(due, &enqueuer), if due.is_some() => due = None,
                () = self.tell(&mut missed), if due.is_none() && !missed.is_empty() => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
            // More than a day of slots is told of by their absence.
            missed.truncate(10_000);
        }
    }
}

/// The slots before the current one, beginning with the one of so long ago.
fn slots_since(slots: Slots, clock: &Clock, ago: Duration) -> impl Iterator<Item = Slot> {
    let now = clock.unix_seconds();
    let first = slots.containing(now.saturating_sub_unsigned(ago.as_secs()));
    std::iter::successors(Some(first), |slot| Some(slot.next()))
        .take_while(move |slot| slot.end() <= now)
}

impl Scheduler<'_> {
    /// Tells which jobs could not be enqueued, now that one could.
    async fn tell<J: ScheduledJob>(&self, missed: &mut Vec<J>) {
        match J::not_enqueued(missed, &self.store).await {
            Ok(()) => missed.clear(),
            Err(error) => {
                tracing::debug!(%error, "the ledger does not know yet");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Sees to it that the slot's job is in the queue, however often Redis fails.
    async fn enqueue<J: ScheduledJob>(&self, due: Option<Slot>, enqueuer: &Enqueuer<J>) {
        let Some(slot) = due else { return };
        let job = J::due(slot);
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(400))
            .with_jitter()
            .without_max_times();
        let enqueued = (|| enqueuer.enqueue(&job))
            .retry(delays)
            .notify(|error, _| {
                if error.is_away() {
                    tracing::debug!(%error, slot = slot.start(), "enqueueing again");
                } else {
                    tracing::warn!(%error, slot = slot.start(), "enqueueing again");
                }
            })
            .await;
        tracing::debug!(slot = slot.start(), queue = J::NAME, ?enqueued, "scheduled");
        if let Err(error) = self.store.heartbeat(Role::Scheduler, &self.name).await {
            tracing::debug!(%error, "no heartbeat given");
        }
    }
}
