//! The worker process: takes jobs and runs them. Any number of them may run.

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
    jobs::{self, Context, Housekeeping, Progress, Runner, ScheduledJob},
    metrics::Metrics,
    queue::{self, Caretaker, Job as _, Pulse},
    store::{Role, Store, StoreError},
};

use super::{
    preflight,
    presence::{self, Presence},
};

/// A worker that has looked into its queues within this time is at work.
const AT_WORK: Duration = Duration::from_secs(5);

/// Housekeeping needs no samples in memory.
const SUMMARIES_ALONE: Limits = Limits { memory: 0, stale_for: Duration::MAX };

struct Worker<'a> {
    config: &'a Config,
    shutdown: &'a CancellationToken,
    server: Server,
    context: Context,
    presence: Presence,
    /// One for each queue that is worked on.
    pulses: Mutex<Vec<Pulse>>,
}

/// Works until `shutdown`, then finishes the jobs in flight. Redis may be away meanwhile.
///
/// # Errors
/// If the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let metrics = Metrics::default();
    super::metrics::serve(config, Role::Worker, metrics.clone(), shutdown)?;
    let context = Context {
        slots: Slots::new(config.schedule.every)?,
        sources: Sources::new(&config.sources, config.schedule.every, store.clock())?,
        doubt: super::doubt(config),
        store: store.clone(),
        history: Arc::new(History::new(store.clone(), SUMMARIES_ALONE)),
        retention: super::retention(config),
        caretaker: Caretaker::new(&server, jobs::QUEUES.to_vec(), &config.queue),
        metrics: metrics.clone(),
        progress: Progress::default(),
    };
    let presence = Presence::new(store.clone(), Role::Worker, metrics);
    super::log_start("worker", presence.name(), config);
    tokio::spawn(preflight::log(store.clone(), server.clone()));
    tokio::select! {
        () = store.clock().synchronized() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    tokio::spawn(set_slots(store.clone()));
    let worker = Worker { config, shutdown, server, context, presence, pulses: Mutex::default() };
    let ended = tokio::select! {
        // Boxed, as it is large.
        ended = Box::pin(jobs::run_each(&worker)) => ended,
        () = worker.show_life(&store) => Ok(()),
    };
    worker.presence.leave().await;
    ended
}

impl Runner for Worker<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let (context, pulse) = (self.context.clone(), Pulse::default());
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        let (name, metrics) = (self.presence.name(), self.context.metrics.clone());
        let (server, config) = (self.server.clone(), self.config.clone());
        let (name, shutdown) = (name.to_owned(), self.shutdown.clone());
        // In a task of its own: whatever wakes the task of a queue makes it look for jobs, and two queues in one
        // task would wake each other without end.
        let working = tokio::spawn(async move {
            queue::work::<J>(&server, &config, context, &name, pulse, metrics, &shutdown).await;
        });
        working.await.context("the worker of a queue has ended")
    }
}

impl Worker<'_> {
    /// Says for ever that this worker is at work, as long as it really looks into its queues.
    async fn show_life(&self, store: &Store) {
        let mut ticks = interval(presence::EVERY);
        let mut made_room: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let beating = {
                let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
                !pulses.is_empty() && pulses.iter().all(|pulse| pulse.is_within(AT_WORK))
            };
            let every = self.config.queue.housekeeping_every;
            match self.note_life(store, beating).await {
                Err(error) if error.is_out_of_memory() => {
                    if made_room.is_none_or(|at| at.elapsed() >= every) {
                        self.make_room().await;
                        made_room = Some(Instant::now());
                    }
                }
                Err(error) => tracing::debug!(%error, "no heartbeat given"),
                Ok(()) => {}
            }
        }
    }

    async fn note_life(&self, store: &Store, beating: bool) -> Result<(), StoreError> {
        if beating {
            self.presence.beat(self.context.progress.activity()).await?;
        }
        store.note_jump().await?;
        store.tell_circuits(self.presence.name(), &self.context.sources.circuits()).await
    }

    /// Does the housekeeping at once: no job can be enqueued while Redis is full.
    async fn make_room(&self) {
        tracing::warn!("the memory of Redis is full; housekeeping is done at once");
        let due = self.context.store.clock().unix_seconds();
        if let Err(error) = (Housekeeping { due }).run(self.context.clone(), 1).await {
            tracing::warn!(%error, "housekeeping is not finished");
        }
    }
}

/// Notes the configured length of slots as soon as Redis can be reached.
async fn set_slots(store: Store) {
    while let Err(error) = store.set_slots(store.clock().unix_seconds()).await {
        tracing::debug!(%error, "the length of slots is not noted yet");
        sleep(presence::EVERY).await;
    }
}
