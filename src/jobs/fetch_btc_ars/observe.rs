//! Observing the price of a slot: requests to sources with retries, until the slot ends.

use std::time::Duration;

use backon::{BackoffBuilder as _, Retryable as _};
use tokio::time::{Instant, sleep};

use super::{FetchError, retries};
use crate::{
    clock::Clock,
    domain::{Attempt, MissedReason, Observation, Sample, Slot, Timestamp},
    exchange::Selected,
    jobs::Context,
    metrics::Metric,
    store::{Recorded, StoreError},
    telemetry::seconds,
};

/// The time that is reserved at the end of a slot for storing the sample.
const MARGIN: Duration = Duration::from_millis(50);

/// Observes the price and stores it as the sample of the slot. Adds all requests to `attempts`.
pub(super) async fn observe_and_record(
    slot: Slot,
    context: &Context,
    attempts: &mut Vec<Attempt>,
) -> Result<(), FetchError> {
    let mut observation = observe(slot, context, attempts).await?;
    let mut recorded = record(slot, context, &observation).await?;
    if recorded == Recorded::NotCurrent {
        // The clock of Redis was set meanwhile.
        context.store.sync_clock().await?;
        observation = observe(slot, context, attempts).await?;
        recorded = record(slot, context, &observation).await?;
    }
    let Observation { sample, provenance } = observation;
    match recorded {
        Recorded::NotCurrent => return Err(FetchError::NotCurrent),
        Recorded::Stored => {
            measure_stored(slot, context);
            let (price, source) = (sample.price.to_f64(), provenance.map(|from| from.source));
            tracing::info!(price, source, "recorded a price");
        }
        Recorded::HourClosed => {
            tracing::warn!("not recorded: the text of this hour was dropped");
        }
        Recorded::SlotTaken => {
            context.progress.recorded(context.store.clock().unix_seconds());
            tracing::info!("the slot already has a price");
        }
    }
    Ok(())
}

fn measure_stored(slot: Slot, context: &Context) {
    let clock = context.store.clock();
    context.progress.recorded(clock.unix_seconds());
    if let Ok(start) = u64::try_from(slot.start()) {
        let took = clock.now().saturating_sub(Duration::from_secs(start));
        context.metrics.measure(Metric::TickToStored, &[], took);
    }
}

async fn record(
    slot: Slot,
    context: &Context,
    observation: &Observation,
) -> Result<Recorded, StoreError> {
    retry_within(slot, context, || context.store.record(observation)).await
}

/// Queries the sources until one returns a price or the slot ends; then returns the last error.
async fn observe(
    slot: Slot,
    context: &Context,
    attempts: &mut Vec<Attempt>,
) -> Result<Observation, FetchError> {
    let clock = context.store.clock();
    let left = clock.until(slot.end());
    if left <= MARGIN {
        return Err(FetchError::TooLate);
    }
    let until = Instant::now() + left;
    let mut last_error = None;
    for delay in retries().build() {
        // The clock of Redis may be set back meanwhile.
        let ahead = clock.until(slot.start());
        if !ahead.is_zero() {
            return Err(FetchError::TooEarly(ahead));
        }
        // Read before each round: the rejected prices of the previous slot may have arrived late.
        let recent = retry_within(slot, context, || context.store.recent_prices(slot)).await?;
        if clock.until(slot.end()) <= MARGIN {
            return Err(last_error.map_or(FetchError::RedisTooSlow, FetchError::Exchange));
        }
        let price_filter = context.price_filter.with_recent(recent);
        // An answer that arrives too late to be recorded counts as a timeout.
        let round = context.sources.fetch(&price_filter, until - MARGIN).await;
        attempts.extend(round.attempts);
        let delay = match &round.outcome {
            // A source rarely corrects a wrong price immediately.
            Err(error) if error.reason() == MissedReason::PriceRejected => {
                delay.max(context.slots.length() / 4)
            }
            _ => delay,
        };
        match round.outcome {
            Ok(selected) => return observation(slot, clock, selected),
            // An open circuit says less than the error that opened it.
            Err(error) if last_error.is_none() || !error.is_circuit_open() => {
                last_error = Some(error);
            }
            Err(_) => {}
        }
        if !round.should_retry || delay + MARGIN >= clock.until(slot.end()) {
            break;
        }
        let error = last_error.as_ref().map(ToString::to_string);
        tracing::info!(error, delay_s = seconds(delay), "retrying");
        sleep(delay).await;
    }
    Err(last_error.map_or(FetchError::TooLate, FetchError::Exchange))
}

/// The observation of a price that has just arrived, if the slot has not ended.
fn observation(slot: Slot, clock: &Clock, selected: Selected) -> Result<Observation, FetchError> {
    let timestamp = clock.unix_seconds();
    if !slot.contains(timestamp) {
        return Err(FetchError::TooLate);
    }
    let sample = Sample { timestamp: Timestamp::from_second(timestamp), price: selected.price };
    Ok(Observation { sample, provenance: Some(selected.provenance) })
}

/// Runs an operation of the store, and retries it while Redis is unavailable and the slot lasts.
async fn retry_within<T, F: Future<Output = Result<T, StoreError>>>(
    slot: Slot,
    context: &Context,
    operation: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let clock = context.store.clock();
    operation
        .retry(retries())
        .when(|error| error.is_unavailable() && !clock.until(slot.end()).is_zero())
        .await
}
