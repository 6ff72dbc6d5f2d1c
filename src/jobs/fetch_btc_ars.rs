//! The job this is all about: ask for the price of bitcoin and record it in its slot.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{Context, ScheduledJob};
use crate::{
    clock,
    config::Config,
    domain::{Price, Sample, Slot},
    exchange::{ExchangeError, PriceSource},
    queue::{GiveUp, Job},
    store::{Recorded, Store, StoreError},
};

/// Observe the price within a slot and record it as that slot's sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchBtcArs {
    /// The first unix second of the slot.
    pub slot: i64,
}

/// Why a slot got no sample from this job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The slot was over before a price was observed: a price of now is not one of then.
    #[error("the slot was over before a price was observed")]
    TooLate,
    /// The slot is not the next one even: the clocks of two machines are far apart.
    #[error("the slot begins only in {0:.0?}: do the clocks of all machines agree?")]
    TooEarly(Duration),
    /// The source gave no price.
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

    async fn run(self, context: Context) -> Result<(), GiveUp> {
        let slot = context.slots.containing(self.slot);
        // The clock of whoever enqueued it may be ahead of ours; a slot is ours by our clock.
        let ahead = clock::until(slot.start());
        if ahead > context.slots.length() {
            return Err(FetchError::TooEarly(ahead).into());
        }
        sleep(ahead).await;
        let sample = observe(slot, context.source.as_ref()).await?;
        let recorded = record(slot, &sample, &context.store).await?;
        let (price, source) = (sample.price, context.source.name());
        match recorded {
            Recorded::Stored => {
                tracing::info!(slot = self.slot, %price, source, "recorded a price");
            }
            Recorded::SlotTaken => {
                tracing::info!(slot = self.slot, "the slot has its price already");
            }
        }
        Ok(())
    }
}

impl ScheduledJob for FetchBtcArs {
    fn every(config: &Config) -> Duration {
        config.schedule.every
    }

    fn due(slot: Slot) -> Self {
        Self { slot: slot.start() }
    }
}

/// Asks until there is a price or the slot is over; then the last failure is the reason.
async fn observe(slot: Slot, source: &dyn PriceSource) -> Result<Sample, FetchError> {
    let left = clock::until(slot.end());
    if left.is_zero() {
        return Err(FetchError::TooLate);
    }
    let mut failure = ExchangeError::Timeout { source_name: source.name(), after: left };
    for delay in backoff().build() {
        match timeout(clock::until(slot.end()), source.price()).await {
            Ok(Ok(price)) => return dated(slot, price),
            Ok(Err(error)) => failure = error,
            Err(_slot_is_over) => break,
        }
        if !failure.is_transient() || delay >= clock::until(slot.end()) {
            break;
        }
        tracing::info!(slot = slot.start(), error = %failure, ?delay, "asking again");
        sleep(delay).await;
    }
    Err(failure.into())
}

/// The sample of a price that was observed just now, if now is still within the slot.
fn dated(slot: Slot, price: Price) -> Result<Sample, FetchError> {
    let timestamp = clock::unix_seconds();
    if slot.contains(timestamp) {
        Ok(Sample { timestamp, price })
    } else {
        Err(FetchError::TooLate)
    }
}

/// Stores the sample, trying again while Redis is away and the slot lasts.
async fn record(slot: Slot, sample: &Sample, store: &Store) -> Result<Recorded, FetchError> {
    let recorded = (|| store.record(sample))
        .retry(backoff())
        .when(|error| error.is_unavailable() && !clock::until(slot.end()).is_zero())
        .await;
    Ok(recorded?)
}

/// 100 ms at first, a second later on, with jitter, until the slot's end makes an end of it.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
}
