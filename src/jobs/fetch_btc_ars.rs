//! The main job: fetch the price of Bitcoin and record it as the sample of its slot.

mod observe;

use std::time::Duration;

use backon::Retryable as _;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use self::observe::observe_and_record;
use super::{Context, ScheduledJob};
use crate::{
    backoff,
    config::Config,
    domain::{Attempt, MissedReason, Slot},
    exchange::ExchangeError,
    metrics::Metric,
    queue::{DiscardReason, Job, JobError},
    store::{Store, StoreError},
};

/// The number of times that recording the reason of a missed slot is retried: about a quarter of an hour.
const REASON_RETRIES: usize = 1000;

/// Observes the price within a slot and records it as the sample of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchBtcArs {
    /// The first unix second of the slot.
    pub slot: i64,
}

/// Why the job recorded no sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The slot ended first. A later price must not be recorded in it.
    #[error("the slot was over before a price was observed")]
    TooLate,
    /// Redis returned the recent prices only after the slot had ended.
    #[error("Redis answered only after the slot had ended")]
    RedisTooSlow,
    /// The slot is later than the next one: the clock of Redis was set back.
    #[error("the slot begins in {0:.0?}")]
    TooEarly(Duration),
    /// The clock of Redis was set while the price was observed.
    #[error("the clock of Redis was set while the price was observed")]
    NotCurrent,
    /// No source returned a price that was accepted.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The sample could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Job for FetchBtcArs {
    const NAME: &'static str = "fetch_btc_ars";

    type Context = Context;

    fn key(&self) -> String {
        self.slot.to_string()
    }

    fn slot(&self) -> Option<i64> {
        Some(self.slot)
    }

    async fn run(self, context: Context, attempt: u32) -> Result<(), JobError> {
        let Err(error) = self.fetch(&context).await else { return Ok(()) };
        let reason = error.reason(attempt);
        if let Some(reason) = reason {
            record_missed(context.store, self.slot, reason).await;
        }
        Err(JobError::new(reason.map_or("failed", MissedReason::name), error))
    }

    async fn discarded(self, context: Context, reason: DiscardReason) {
        let reason = match reason {
            DiscardReason::Backlog => MissedReason::TooLate,
            DiscardReason::Panicked | DiscardReason::Poison => MissedReason::WorkerLost,
        };
        record_missed(context.store, self.slot, reason).await;
    }
}

impl ScheduledJob for FetchBtcArs {
    fn every(config: &Config) -> Duration {
        config.schedule.every
    }

    fn due(slot: Slot) -> Self {
        Self { slot: slot.start() }
    }

    async fn not_started(
        jobs: &[Self],
        store: &Store,
        reason: MissedReason,
    ) -> Result<(), StoreError> {
        let slots: Vec<i64> = jobs.iter().map(|job| job.slot).collect();
        store.record_missed(&slots, reason).await
    }
}

impl FetchBtcArs {
    /// Waits for the slot to begin if it is the next one, then observes and records its price.
    async fn fetch(self, context: &Context) -> Result<(), FetchError> {
        let slot = context.slots.containing(self.slot);
        let clock = context.store.clock();
        let length = context.slots.length();
        // This process may not have noticed yet that the clock of Redis was set.
        if clock.until(slot.end()).is_zero() || clock.until(slot.start()) > length {
            context.store.sync_clock().await?;
        }
        let ahead = clock.until(slot.start());
        if ahead > length {
            return Err(FetchError::TooEarly(ahead));
        }
        sleep(ahead).await;
        context.progress.begun(clock.unix_seconds());
        let mut attempts = Vec::new();
        let ended = observe_and_record(slot, context, &mut attempts).await;
        for Attempt { source, took, .. } in &attempts {
            context.metrics.measure(Metric::ExchangeLatency, &[source], *took);
        }
        // In the background, so that the job does not wait for it.
        let recorded = record_attempts(context.store.clone(), slot, attempts);
        tokio::spawn(recorded.in_current_span());
        ended
    }
}

impl FetchError {
    /// The reason with which the slot is recorded as missed. There is none if the slot has not begun yet.
    fn reason(&self, attempt: u32) -> Option<MissedReason> {
        match self {
            Self::TooLate if attempt > 1 => Some(MissedReason::WorkerLost),
            Self::TooLate | Self::NotCurrent => Some(MissedReason::TooLate),
            Self::TooEarly(_) => None,
            Self::Exchange(error) => Some(error.reason()),
            Self::Store(_) | Self::RedisTooSlow => Some(MissedReason::RedisAway),
        }
    }
}

/// Records why a slot was missed: within a second, or else in the background as soon as Redis is
/// available.
async fn record_missed(store: Store, slot: i64, reason: MissedReason) {
    let first = timeout(Duration::from_secs(1), store.record_missed(&[slot], reason)).await;
    if matches!(first, Ok(Ok(()))) {
        return;
    }
    let retried = async move {
        let slots = [slot];
        let recorded = (|| store.record_missed(&slots, reason))
            .retry(retries().with_max_times(REASON_RETRIES))
            .when(StoreError::is_unavailable)
            .await;
        if let Err(error) = recorded {
            // The slot is a field of its own since a discarded job has no span.
            tracing::warn!(slot, ?reason, %error, "cannot record why a slot was missed");
        }
    };
    tokio::spawn(retried.in_current_span());
}

/// Records the results of requests to sources, for operators.
async fn record_attempts(store: Store, slot: Slot, attempts: Vec<Attempt>) {
    let recorded = timeout(Duration::from_secs(1), store.record_attempts(slot, &attempts)).await;
    if !matches!(recorded, Ok(Ok(()))) {
        tracing::debug!("cannot record the requests to sources");
    }
}

/// The delays between retries within a slot.
fn retries() -> backon::ExponentialBuilder {
    backoff::exponential(Duration::from_millis(100), Duration::from_secs(1))
}
