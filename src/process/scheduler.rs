//! The scheduler process: enqueues each job when it is due. Several schedulers may run: the key of a job
//! ensures that it is enqueued only once. Depends on `jobs`, `queue`, `store` and other modules.

mod lost;

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use backon::Retryable as _;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff,
    clock::Clock,
    config::Config,
    connection::Server,
    domain::{MissedReason, Slot, Slots},
    jobs::{self, ForEachJob, ScheduledJob},
    metrics::{Metric, Metrics},
    queue::{EnqueueError, Enqueued, Enqueuer, slot_starts},
    store::{Role, Store},
};

use super::{heartbeat::Heartbeat, preflight};

/// How long after the start of a slot a healthy scheduler may enqueue its job.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// The shortest and the longest delay between attempts to enqueue a job.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(400);

struct Scheduler<'a> {
    config: &'a Config,
    shutdown: &'a CancellationToken,
    server: Server,
    store: Store,
    metrics: Metrics,
    /// When the due job of each queue was last enqueued, and for how long the queue then counts as healthy.
    enqueued: Mutex<BTreeMap<&'static str, (Instant, Duration)>>,
}

/// Enqueues the jobs of the current slots, then each job when its slot starts, until `shutdown`.
///
/// # Errors
/// Returns an error if the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let metrics = Metrics::default();
    super::metrics::serve(config, Role::Scheduler, metrics.clone(), shutdown)?;
    let heartbeat = Heartbeat::new(store.clone(), Role::Scheduler, metrics.clone());
    super::log_start("scheduler", heartbeat.name(), config);
    tokio::spawn(preflight::log(store.clone(), server.clone()));
    let enqueued = Mutex::default();
    let scheduler = Scheduler { config, shutdown, server, store, metrics, enqueued };
    let ended = tokio::select! {
        ended = jobs::run_for_each_job(&scheduler) => ended,
        () = heartbeat.send_while(|| scheduler.is_healthy()) => Ok(()),
        () = lost::record(&scheduler.store, Slots::new(config.schedule.every)?) => Ok(()),
    };
    heartbeat.deregister().await;
    ended
}

impl ForEachJob for Scheduler<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let slots = Slots::new(J::every(self.config))?;
        let enqueuer = Enqueuer::<J>::new(&self.server, self.metrics.clone());
        let clock = self.store.clock();
        let mut ticks = pin!(slot_starts(slots, clock.clone()));
        let (mut due, mut missed) = (None, NotStarted::default());
        // A slot whose job has just been enqueued.
        let mut enqueued = None;
        // Why the due job is not enqueued yet.
        let blocked_by = Mutex::new(MissedReason::RedisAway);
        let started = Instant::now();
        tokio::select! {
            () = clock.synchronized() => {
                let slots = slots_since(slots, clock, started.elapsed());
                missed.add(MissedReason::RedisAway, slots.map(J::due));
            }
            () = self.shutdown.cancelled() => return Ok(()),
        }
        loop {
            // A tick replaces a slot whose job could not be enqueued until then: that slot has ended.
            tokio::select! {
                next = ticks.next() => {
                    missed.add(*blocked_by.lock(), std::mem::replace(&mut due, next).map(J::due));
                }
                () = self.enqueue(due, &enqueuer, &blocked_by), if due.is_some() => {
                    enqueued = due.take();
                    *blocked_by.lock() = MissedReason::RedisAway;
                }
                () = self.record_unclaimed(&enqueuer, enqueued), if enqueued.is_some() => {
                    enqueued = None;
                }
                () = self.record_not_started(&mut missed),
                    if is_reachable(due, &blocked_by) && !missed.is_empty() => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

/// Returns whether Redis responded to the last request, so that missed slots can be recorded.
fn is_reachable(due: Option<Slot>, blocked_by: &Mutex<MissedReason>) -> bool {
    due.is_none() || *blocked_by.lock() == MissedReason::Paused
}

/// Jobs that were not enqueued while they were due, by reason.
struct NotStarted<J>(BTreeMap<MissedReason, Vec<J>>);

impl<J> Default for NotStarted<J> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<J> NotStarted<J> {
    /// The maximum number of jobs per reason, about a day of slots. The slots of further jobs count as not
    /// scheduled.
    const MAX_JOBS: usize = 10_000;

    fn add(&mut self, reason: MissedReason, jobs: impl IntoIterator<Item = J>) {
        let not_started = self.0.entry(reason).or_default();
        not_started.extend(jobs);
        not_started.truncate(Self::MAX_JOBS);
        if not_started.is_empty() {
            self.0.remove(&reason);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the slots that have ended, starting with the one that contains the time `ago` before now.
fn slots_since(slots: Slots, clock: &Clock, ago: Duration) -> impl Iterator<Item = Slot> {
    let now = clock.unix_seconds();
    let first = slots.containing(now.saturating_sub_unsigned(ago.as_secs()));
    std::iter::successors(Some(first), |slot| Some(slot.next()))
        .take_while(move |slot| slot.end() <= now)
}

impl Scheduler<'_> {
    /// Records why jobs were not enqueued in time. Removes them from `missed`.
    async fn record_not_started<J: ScheduledJob>(&self, missed: &mut NotStarted<J>) {
        while let Some(entry) = missed.0.first_entry() {
            match J::not_started(entry.get(), &self.store, *entry.key()).await {
                Ok(()) => drop(entry.remove()),
                Err(error) => {
                    tracing::debug!(%error, "cannot record why slots were missed; retrying");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Returns whether the due jobs of all queues are enqueued, or their queues paused.
    fn is_healthy(&self) -> bool {
        let enqueued = self.enqueued.lock();
        enqueued.len() == jobs::QUEUES.len()
            && enqueued.values().all(|(at, valid_for)| at.elapsed() <= *valid_for)
    }

    /// Records that the due job is enqueued, or its queue paused. Returns whether that was recorded before.
    fn mark_enqueued<J: ScheduledJob>(&self) -> bool {
        let valid_for = J::every(self.config) + MAX_DELAY;
        self.enqueued.lock().insert(J::NAME, (Instant::now(), valid_for)).is_some()
    }

    /// Enqueues the job of the slot. Retries while Redis fails or the queue is paused, and sets `blocked_by`
    /// to the reason.
    async fn enqueue<J: ScheduledJob>(
        &self,
        due: Option<Slot>,
        enqueuer: &Enqueuer<J>,
        blocked_by: &Mutex<MissedReason>,
    ) {
        let Some(slot) = due else { return };
        let job = J::due(slot);
        let delays = backoff::exponential(FIRST_DELAY, LONGEST_DELAY);
        // One warning per slot, regardless of the number of attempts.
        let mut is_reported = false;
        let enqueued = (|| enqueuer.enqueue(&job))
            .retry(delays)
            .notify(|error, _| match error {
                EnqueueError::Paused { .. } => {
                    *blocked_by.lock() = MissedReason::Paused;
                    let _was_marked = self.mark_enqueued::<J>();
                }
                error if error.is_outage() => {
                    *blocked_by.lock() = MissedReason::RedisAway;
                    tracing::debug!(%error, slot = slot.start(), "cannot enqueue a job; retrying");
                }
                _ => {
                    *blocked_by.lock() = MissedReason::RedisAway;
                    if !std::mem::replace(&mut is_reported, true) {
                        let slot = slot.start();
                        tracing::warn!(%error, slot, "cannot enqueue a job; retrying");
                    }
                }
            })
            .await;
        // The lag of the first slot is not measured: it may have started long before this process.
        let is_tick = self.mark_enqueued::<J>();
        tracing::debug!(slot = slot.start(), queue = J::NAME, ?enqueued, "enqueued a job");
        // The lag is measured for jobs that are for a slot, but not after a pause.
        let is_for_slot = job.slot().is_some() && *blocked_by.lock() != MissedReason::Paused;
        if let (true, true, Ok(Enqueued::New), Ok(start)) =
            (is_tick, is_for_slot, enqueued, u64::try_from(slot.start()))
        {
            let lag = self.store.clock().now().saturating_sub(Duration::from_secs(start));
            self.metrics.measure(Metric::TickLag, &[], lag);
        }
    }

    /// If no worker is alive, records that as the reason for jobs that wait although their slot has ended.
    async fn record_unclaimed<J: ScheduledJob>(&self, enqueuer: &Enqueuer<J>, now: Option<Slot>) {
        let Some(now) = now else { return };
        let recorded = async {
            let mut jobs = enqueuer.unclaimed(&self.config.queue).await?;
            let slots = Slots::new(self.config.schedule.every)?;
            let has_ended = |slot: i64| slots.containing(slot).end() <= now.start();
            jobs.retain(|job| job.slot().is_some_and(has_ended));
            if !jobs.is_empty() {
                J::not_started(&jobs, &self.store, MissedReason::NoWorker).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = recorded.await {
            tracing::debug!(%error, "cannot record that no worker is alive");
        }
    }
}
