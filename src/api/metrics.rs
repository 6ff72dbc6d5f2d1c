//! What a Prometheus scrapes, as `OpenMetrics` text. All of it is read from the store, so any api
//! process tells it of all workers.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use poem::{Endpoint, Response, endpoint::make, http::StatusCode};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::error::{ApiError, problem};
use crate::{
    config,
    domain::{CircuitState, Reason, TimeRange},
    history::{History, HistoryError},
    store::SourceReport,
};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;
type Seconds = Gauge<f64, AtomicU64>;

/// `GET /metrics`.
pub(super) fn endpoint(history: Arc<History>, sources: &config::Sources) -> impl Endpoint + use<> {
    let names: Arc<[String]> = sources.named.keys().cloned().collect();
    make(move |_| {
        let (history, names) = (Arc::clone(&history), Arc::clone(&names));
        async move {
            match scrape(&history, &names).await {
                Ok(text) => {
                    Response::builder().status(StatusCode::OK).content_type(CONTENT_TYPE).body(text)
                }
                Err(error) => problem(ApiError::from(error).into()).await,
            }
        }
    })
}

async fn scrape(history: &History, names: &[String]) -> Result<String, HistoryError> {
    let mut registry = Registry::with_prefix("cotiza");
    slots(&mut registry, history).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reports = history.store().source_reports(&names).await?;
    sources(&mut registry, &names, &reports);
    clocks(&mut registry, history).await?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _written = encode(&mut text, &registry);
    Ok(text)
}

async fn slots(registry: &mut Registry, history: &History) -> Result<(), HistoryError> {
    let now = history.store().clock().unix_seconds();
    let coverage = history.coverage(&TimeRange::default(), now).await?.value;
    let (recorded, missed) = (Gauge::<i64>::default(), Gauges::default());
    recorded.set(coverage.recorded.cast_signed());
    let told = Reason::ALL.iter().map(|reason| reason.name()).zip(coverage.missed.told);
    for (reason, count) in told.chain([("not_scheduled", coverage.missed.not_scheduled)]) {
        set(&missed, &vec![("reason", reason.to_owned())], count);
    }
    registry.register("recorded_slots", "Slots with a price", recorded);
    registry.register("missed_slots", "Slots that ended without a price, by reason", missed);
    if let Some(latest) = history.latest().await?.value {
        let last = Gauge::<i64>::default();
        last.set(latest.sample.timestamp.second());
        let help = "When the last price was observed, in unix seconds";
        registry.register("last_price_timestamp_seconds", help, last);
    }
    Ok(())
}

/// The clock of each machine: of its processes, the one that differs most. The host's name ends
/// before the last hyphen of the process' name.
async fn clocks(registry: &mut Registry, history: &History) -> Result<(), HistoryError> {
    let mut hosts: BTreeMap<String, f64> = BTreeMap::new();
    for (process, skew) in history.store().skews().await? {
        let host = process.rsplit_once('-').map_or(process.as_str(), |(host, _)| host);
        let worst = hosts.entry(host.to_owned()).or_default();
        if skew.abs() >= worst.abs() {
            *worst = skew;
        }
    }
    let skews = Family::<Labels, Seconds>::default();
    for (host, skew) in hosts {
        skews.get_or_create(&vec![("host", host)]).set(skew);
    }
    let help = "How far the clock of a machine is ahead of the clock of Redis";
    registry.register("clock_skew_seconds", help, skews);
    let jumps = Counter::<u64>::default();
    jumps.inc_by(history.store().clock().jumps());
    let help = "How often the clock of Redis was set by more than a second, as this process saw it";
    registry.register("clock_jumps", help, jumps);
    Ok(())
}

fn sources(registry: &mut Registry, names: &[&str], reports: &[SourceReport]) {
    let (answers, failures) = (Counters::default(), Counters::default());
    let (samples, workers) = (Counters::default(), Gauges::default());
    let latency = Family::<Labels, Seconds>::default();
    for (name, report) in names.iter().zip(reports) {
        let of = |more: &[(&'static str, &str)]| {
            let more = more.iter().map(|(label, value)| (*label, (*value).to_owned()));
            [("source", (*name).to_owned())].into_iter().chain(more).collect::<Labels>()
        };
        add(&answers, &of(&[]), report.counted("answered"));
        add(&samples, &of(&[]), report.counted("samples"));
        for reason in [
            Reason::ExchangeTimeout,
            Reason::ExchangeError,
            Reason::BadAnswer,
            Reason::PriceRejected,
        ] {
            let count = report.counted(reason.name());
            add(&failures, &of(&[("reason", reason.name())]), count);
        }
        for (state, is) in [
            ("closed", (|state| state == CircuitState::Closed) as fn(CircuitState) -> bool),
            ("half_open", |state| state == CircuitState::HalfOpen),
            ("open", |state| matches!(state, CircuitState::Open(_))),
        ] {
            let count = report.circuits.iter().filter(|circuit| is(**circuit)).count();
            set(&workers, &of(&[("state", state)]), count as u64);
        }
        for (quantile, share) in [("0.5", 0.5), ("0.99", 0.99)] {
            if let Some(milliseconds) = report.latency_ms(share) {
                latency.get_or_create(&of(&[("quantile", quantile)])).set(milliseconds / 1000.0);
            }
        }
    }
    registry.register("source_answers", "Requests that a source answered with a price", answers);
    registry.register("source_failures", "Requests to a source that failed, by reason", failures);
    registry.register("source_samples", "Samples from a source", samples);
    let help = "Workers by the state of their circuit breaker for a source";
    registry.register("source_workers", help, workers);
    let help = "The time in which that share of a source's last 1000 answers came";
    registry.register("source_latency_seconds", help, latency);
}

fn add(counters: &Counters, labels: &Labels, count: u64) {
    counters.get_or_create(labels).inc_by(count);
}

fn set(gauges: &Gauges, labels: &Labels, value: u64) {
    gauges.get_or_create(labels).set(value.cast_signed());
}
