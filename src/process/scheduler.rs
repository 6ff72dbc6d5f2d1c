//! The scheduler process: enqueues each job when it is due. Any number of them may run: a job's key
//! lets it be enqueued once, whoever comes first.

mod lost;

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Config,
    connection::Server,
    domain::{Reason, Slot, Slots},
    jobs::{self, Runner, ScheduledJob},
    metrics::{Metric, Metrics},
    queue::{EnqueueError, Enqueued, Enqueuer, slot_starts},
    store::{Role, Store},
};

use super::{preflight, presence::Presence};

/// How much later than its slot a job may be enqueued by a scheduler that is at work.
const LATEST: Duration = Duration::from_secs(5);

struct Scheduler<'a> {
    config: &'a Config,
    shutdown: &'a CancellationToken,
    server: Server,
    store: Store,
    metrics: Metrics,
    /// When each queue was last known to have the jobs that are due, and until when that is enough.
    enqueued: Mutex<BTreeMap<&'static str, (Instant, Duration)>>,
}

/// Enqueues what is due at once, then each job as it becomes due, until `shutdown`.
///
/// # Errors
/// If the configuration cannot be used.
pub async fn run(config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let metrics = Metrics::default();
    super::metrics::serve(config, Role::Scheduler, metrics.clone(), shutdown)?;
    let presence = Presence::new(store.clone(), Role::Scheduler, metrics.clone());
    super::log_start("scheduler", presence.name(), config);
    tokio::spawn(preflight::log(store.clone(), server.clone()));
    let enqueued = Mutex::default();
    let scheduler = Scheduler { config, shutdown, server, store, metrics, enqueued };
    let ended = tokio::select! {
        ended = jobs::run_each(&scheduler) => ended,
        () = presence.show(|| scheduler.is_at_work()) => Ok(()),
        () = lost::note(&scheduler.store, Slots::new(config.schedule.every)?) => Ok(()),
    };
    presence.leave().await;
    ended
}

impl Runner for Scheduler<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        let slots = Slots::new(J::every(self.config))?;
        let enqueuer = Enqueuer::<J>::new(&self.server, self.metrics.clone());
        let clock = self.store.clock();
        let mut ticks = pin!(slot_starts(slots, clock.clone()));
        let (mut due, mut missed) = (None, NotBegun::default());
        // A slot whose job has just been enqueued.
        let mut enqueued = None;
        // Why the job that is due is not enqueued yet.
        let why = Mutex::new(Reason::RedisAway);
        let started = Instant::now();
        tokio::select! {
            () = clock.synchronized() => {
                let slots = slots_since(slots, clock, started.elapsed());
                missed.add(Reason::RedisAway, slots.map(J::due));
            }
            () = self.shutdown.cancelled() => return Ok(()),
        }
        loop {
            // A tick takes the place of one whose job could not be enqueued all the while: its
            // slot is over.
            tokio::select! {
                next = ticks.next() => {
                    missed.add(*why.lock(), std::mem::replace(&mut due, next).map(J::due));
                }
                () = self.enqueue(due, &enqueuer, &why), if due.is_some() => {
                    enqueued = due.take();
                    *why.lock() = Reason::RedisAway;
                }
                () = self.note_unclaimed(&enqueuer, enqueued), if enqueued.is_some() => enqueued = None,
                () = self.note(&mut missed), if is_reachable(due, &why) && !missed.is_empty() => {}
                () = self.shutdown.cancelled() => return Ok(()),
            }
        }
    }
}

/// Whether Redis has answered lately, so that something can be noted there.
fn is_reachable(due: Option<Slot>, why: &Mutex<Reason>) -> bool {
    due.is_none() || *why.lock() == Reason::Paused
}

/// Jobs that were not enqueued while they were due, by reason.
struct NotBegun<J>(BTreeMap<Reason, Vec<J>>);

impl<J> Default for NotBegun<J> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<J> NotBegun<J> {
    /// The most jobs that are noted, about a day of slots: those beyond it count as not scheduled.
    const MOST: usize = 10_000;

    fn add(&mut self, reason: Reason, jobs: impl IntoIterator<Item = J>) {
        let of_reason = self.0.entry(reason).or_default();
        of_reason.extend(jobs);
        of_reason.truncate(Self::MOST);
        if of_reason.is_empty() {
            self.0.remove(&reason);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    /// Notes why jobs could not be enqueued, now that Redis answers.
    async fn note<J: ScheduledJob>(&self, missed: &mut NotBegun<J>) {
        while let Some(of_reason) = missed.0.first_entry() {
            match J::not_begun(of_reason.get(), &self.store, *of_reason.key()).await {
                Ok(()) => drop(of_reason.remove()),
                Err(error) => {
                    tracing::debug!(%error, "cannot note yet why slots were missed");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Whether every queue has what is due, or is known to be paused.
    fn is_at_work(&self) -> bool {
        let enqueued = self.enqueued.lock();
        enqueued.len() == jobs::QUEUES.len()
            && enqueued.values().all(|(at, enough)| at.elapsed() <= *enough)
    }

    /// The queue has what is due, or is known to be paused; gives whether that was so before.
    fn note_work<J: ScheduledJob>(&self) -> bool {
        let enough = J::every(self.config) + LATEST;
        self.enqueued.lock().insert(J::NAME, (Instant::now(), enough)).is_some()
    }

    /// Sees to it that the slot's job is in the queue, however often Redis fails, or as soon as the queue is
    /// resumed. Meanwhile `why` says what keeps it.
    async fn enqueue<J: ScheduledJob>(
        &self,
        due: Option<Slot>,
        enqueuer: &Enqueuer<J>,
        why: &Mutex<Reason>,
    ) {
        let Some(slot) = due else { return };
        let job = J::due(slot);
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(400))
            .with_jitter()
            .without_max_times();
        // Once for each slot, however often it is tried.
        let mut is_reported = false;
        let enqueued = (|| enqueuer.enqueue(&job))
            .retry(delays)
            .notify(|error, _| match error {
                EnqueueError::Paused { .. } => {
                    *why.lock() = Reason::Paused;
                    let _again = self.note_work::<J>();
                }
                EnqueueError::Failed { is_away: true, .. } => {
                    *why.lock() = Reason::RedisAway;
                    tracing::debug!(%error, slot = slot.start(), "enqueueing again");
                }
                _ => {
                    *why.lock() = Reason::RedisAway;
                    if !std::mem::replace(&mut is_reported, true) {
                        tracing::warn!(%error, slot = slot.start(), "enqueueing again");
                    }
                }
            })
            .await;
        // The first slot may have begun long before this process.
        let is_tick = self.note_work::<J>();
        tracing::debug!(slot = slot.start(), queue = J::NAME, ?enqueued, "scheduled");
        // Of jobs that are for a slot, whose beginning they must not miss; not of a resumed queue.
        let is_for_slot = job.slot().is_some() && *why.lock() != Reason::Paused;
        if let (true, true, Ok(Enqueued::New), Ok(start)) =
            (is_tick, is_for_slot, enqueued, u64::try_from(slot.start()))
        {
            let lag = self.store.clock().now().saturating_sub(Duration::from_secs(start));
            self.metrics.measure(Metric::TickLag, &[], lag);
        }
    }

    /// Notes why jobs that wait for a worker, while none is alive, were not begun in time.
    async fn note_unclaimed<J: ScheduledJob>(&self, enqueuer: &Enqueuer<J>, now: Option<Slot>) {
        let Some(now) = now else { return };
        let noted = async {
            let mut jobs = enqueuer.unclaimed(&self.config.queue).await?;
            let slots = Slots::new(self.config.schedule.every)?;
            let is_over = |slot: i64| slots.containing(slot).end() <= now.start();
            jobs.retain(|job| job.slot().is_some_and(is_over));
            if !jobs.is_empty() {
                J::not_begun(&jobs, &self.store, Reason::NoWorker).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, "not noted that there is no worker");
        }
    }
}
