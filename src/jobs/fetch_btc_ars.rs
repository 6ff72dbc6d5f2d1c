//! The job this is all about: ask for the price of bitcoin and record it in its slot.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::{Context, ScheduledJob};
use crate::{
    clock::Clock,
    config::Config,
    domain::{Attempt, Observation, Reason, Sample, Slot, Timestamp},
    exchange::{Chosen, ExchangeError},
    metrics::Metric,
    queue::{GiveUp, GivenUp, Job},
    store::{Recorded, Store, StoreError},
    telemetry::seconds,
};

/// What it takes at most to bring an answer into the store.
const MARGIN: Duration = Duration::from_millis(50);

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
    /// Redis gave the last prices only when there was no time left to ask for the next one.
    #[error("Redis answered only when the slot was over")]
    RedisTooSlow,
    /// The slot is not even the next one: the clock of Redis was set back.
    #[error("the slot begins in {0:.0?}")]
    TooEarly(Duration),
    /// The sample was not of now, by the clock of Redis.
    #[error("the clock of Redis was set while the price was observed")]
    NotCurrent,
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

    fn slot(&self) -> Option<i64> {
        Some(self.slot)
    }

    async fn run(self, context: Context, tries: u32) -> Result<(), GiveUp> {
        let ended = self.fetch(&context).await;
        if let Err(error) = &ended
            && let Some(reason) = error.reason(tries)
        {
            tell(context.store, self.slot, reason).await;
        }
        ended.map_err(|error| {
            GiveUp::because(error.reason(tries).map_or("failed", Reason::name), error)
        })
    }

    async fn given_up(self, context: Context, why: GivenUp) {
        let reason = match why {
            GivenUp::Backlog => Reason::TooLate,
            GivenUp::Panicked | GivenUp::Deadly => Reason::WorkerLost,
        };
        tell(context.store, self.slot, reason).await;
    }
}

impl FetchBtcArs {
    async fn fetch(self, context: &Context) -> Result<(), FetchError> {
        let slot = context.slots.containing(self.slot);
        let clock = context.store.clock();
        let length = context.slots.length();
        // This process may not know yet that the clock of Redis was set.
        if clock.until(slot.end()).is_zero() || clock.until(slot.start()) > length {
            context.store.ask_time().await?;
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
        // Beside the price, never before it.
        let report = report(context.store.clone(), slot, attempts);
        tokio::spawn(report.in_current_span());
        ended
    }
}

impl FetchError {
    /// The reason for the ledger. There is none for a job that came too far ahead of its slot.
    fn reason(&self, tries: u32) -> Option<Reason> {
        match self {
            Self::TooLate if tries > 1 => Some(Reason::WorkerLost),
            Self::TooLate | Self::NotCurrent => Some(Reason::TooLate),
            Self::TooEarly(_) => None,
            Self::Exchange(error) => Some(error.reason()),
            Self::Store(_) | Self::RedisTooSlow => Some(Reason::RedisAway),
        }
    }
}

/// Enters the reason into the ledger: at once, or, while the worker works on, as soon as Redis can
/// be reached.
async fn tell(store: Store, slot: i64, reason: Reason) {
    let at_once = timeout(Duration::from_secs(1), store.miss(&[slot], reason)).await;
    if matches!(at_once, Ok(Ok(()))) {
        return;
    }
    let entered = async move {
        let slots = [slot];
        let told = (|| store.miss(&slots, reason))
            .retry(backoff().with_max_times(1000))
            .when(StoreError::is_unavailable)
            .await;
        if let Err(error) = told {
            // The slot is named since a job of a backlog is given up before it is run.
            tracing::warn!(slot, ?reason, %error, "the ledger does not know");
        }
    };
    tokio::spawn(entered.in_current_span());
}

impl ScheduledJob for FetchBtcArs {
    fn every(config: &Config) -> Duration {
        config.schedule.every
    }

    fn due(slot: Slot) -> Self {
        Self { slot: slot.start() }
    }

    async fn not_begun(jobs: &[Self], store: &Store, reason: Reason) -> Result<(), StoreError> {
        let slots: Vec<i64> = jobs.iter().map(|job| job.slot).collect();
        store.miss(&slots, reason).await
    }
}

/// Observes the price and stores it as the slot's sample.
async fn observe_and_record(
    slot: Slot,
    context: &Context,
    attempts: &mut Vec<Attempt>,
) -> Result<(), FetchError> {
    let mut observation = observe(slot, context, attempts).await?;
    let mut recorded = record(slot, context, &observation).await?;
    if recorded == Recorded::NotCurrent {
        // The clock of Redis was set meanwhile.
        context.store.ask_time().await?;
        observation = observe(slot, context, attempts).await?;
        recorded = record(slot, context, &observation).await?;
    }
    let Observation { sample, provenance } = observation;
    match recorded {
        Recorded::NotCurrent => return Err(FetchError::NotCurrent),
        Recorded::Stored => {
            note_stored(slot, context);
            let (price, source) = (sample.price.to_f64(), provenance.map(|from| from.source));
            tracing::info!(price, source, "recorded a price");
        }
        Recorded::HourClosed => {
            tracing::warn!("not recorded: the text of this hour was dropped");
        }
        Recorded::SlotTaken => {
            context.progress.recorded(context.store.clock().unix_seconds());
            tracing::info!("the slot has its price already");
        }
    }
    Ok(())
}

fn note_stored(slot: Slot, context: &Context) {
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
    while_in(slot, context, || context.store.record(observation)).await
}

/// Asks until there is a price or the slot is over; then the last failure is the reason.
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
    let mut failure = None;
    for delay in backoff().build() {
        // The clock of Redis may be set back meanwhile.
        let ahead = clock.until(slot.start());
        if !ahead.is_zero() {
            return Err(FetchError::TooEarly(ahead));
        }
        // Each time: what the slot before has seen may be told only now.
        let (recent, earlier) = while_in(slot, context, || context.store.evidence(slot)).await?;
        if clock.until(slot.end()) <= MARGIN {
            return Err(failure.map_or(FetchError::RedisTooSlow, FetchError::Exchange));
        }
        let doubt = context.doubt.knowing(recent, earlier);
        // What came so late that it cannot be recorded any more is no answer in time.
        let round = context.sources.ask(&doubt, until - MARGIN).await;
        attempts.extend(round.attempts);
        let delay = match &round.outcome {
            // What a source believes it seldom takes back at once.
            Err(error) if error.reason() == Reason::PriceRejected => {
                delay.max(context.slots.length() / 4)
            }
            _ => delay,
        };
        match round.outcome {
            Ok(chosen) => return dated(slot, clock, chosen),
            // That it is left alone tells less than why.
            Err(error) if failure.is_none() || !error.is_left_alone() => failure = Some(error),
            Err(_) => {}
        }
        if !round.again || delay + MARGIN >= clock.until(slot.end()) {
            break;
        }
        let error = failure.as_ref().map(ToString::to_string);
        tracing::info!(error, delay_s = seconds(delay), "asking again");
        sleep(delay).await;
    }
    Err(failure.map_or(FetchError::TooLate, FetchError::Exchange))
}

/// What was observed just now, if now is still within the slot.
fn dated(slot: Slot, clock: &Clock, chosen: Chosen) -> Result<Observation, FetchError> {
    let timestamp = clock.unix_seconds();
    if !slot.contains(timestamp) {
        return Err(FetchError::TooLate);
    }
    let sample = Sample { timestamp: Timestamp::from_second(timestamp), price: chosen.price };
    Ok(Observation { sample, provenance: Some(chosen.provenance) })
}

/// Does it, trying again while Redis is away and the slot lasts.
async fn while_in<T, F: Future<Output = Result<T, StoreError>>>(
    slot: Slot,
    context: &Context,
    what: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let clock = context.store.clock();
    what.retry(backoff())
        .when(|error| error.is_unavailable() && !clock.until(slot.end()).is_zero())
        .await
}

/// Tells the store what came of asking, so that people can see how the sources are.
async fn report(store: Store, slot: Slot, attempts: Vec<Attempt>) {
    let told = timeout(Duration::from_secs(1), store.report(slot, &attempts)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::debug!("not told how the sources are");
    }
}

/// 100 ms at first, a second later on, with jitter, until the slot's end makes an end of it.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
}
