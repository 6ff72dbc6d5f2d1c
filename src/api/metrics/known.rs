//! The metrics of the recorded prices, which an api process has in memory, so that they do not need Redis.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    api::{latest::DAY, numbers::pesos},
    config::Config,
    domain::{TimeRange, UnixTime},
    history::History,
};

pub(super) type Labels = Vec<(&'static str, String)>;
pub(super) type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

const HOUR: i64 = 3600;

/// Adds a gauge without labels.
pub(super) fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// Sets a gauge with labels.
pub(super) fn set(gauges: &Gauges, labels: &[(&'static str, &str)], value: f64) {
    let labels: Labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    gauges.get_or_create(&labels).set(value);
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// Adds the metrics of the history: the latest price, coverage, size.
pub(super) async fn register(registry: &mut Registry, history: &History, config: &Config) {
    price(registry, history, config).await;
    coverage(registry, history).await;
    let size = history.size();
    gauge(registry, "history_samples", "Recorded prices", float(size.samples));
    let help = "Memory that this process uses for recorded prices";
    gauge(registry, "history_memory_bytes", help, float(size.memory as u64));
    let jumps = Counter::<u64>::default();
    jumps.inc_by(history.store().clock().jumps());
    let help = "Changes of the clock of Redis by more than a second, seen by this process";
    registry.register("clock_jumps", help, jumps);
}

async fn price(registry: &mut Registry, history: &History, config: &Config) {
    let Ok(latest) = history.latest().await else { return };
    let Some(latest) = latest.value else { return };
    let second = latest.sample.timestamp.second();
    let age = (history.now() - second).max(0);
    let is_stale = age > config.stale_after();
    gauge(registry, "price_pesos", "Latest price of one bitcoin", pesos(latest.sample.price));
    gauge(registry, "price_age_seconds", "Age of the latest price", float(age.unsigned_abs()));
    let help = "Whether the latest price is stale, see api.stale_after";
    gauge(registry, "price_stale", help, f64::from(u8::from(is_stale)));
    let help = "Unix time at which the latest price was observed";
    let second = u64::try_from(second).unwrap_or_default();
    gauge(registry, "last_price_timestamp_seconds", help, float(second));
}

async fn coverage(registry: &mut Registry, history: &History) {
    let now = history.now();
    if let Ok(all) = history.coverage_without_reasons(&TimeRange::default(), now).await {
        gauge(registry, "recorded_slots", "Slots that have a price", float(all.value.recorded));
    }
    let ratios = Gauges::default();
    for (window, seconds) in [("1h", HOUR), ("24h", DAY)] {
        let Ok(range) = TimeRange::new(Some(UnixTime::from_seconds(now - seconds)), None) else {
            continue;
        };
        let coverage = history.coverage_without_reasons(&range, now).await.ok();
        if let Some(share) = coverage.and_then(|coverage| coverage.value.share()) {
            set(&ratios, &[("window", window)], share);
        }
    }
    let help = "Share of the slots in a window that have a price";
    registry.register("coverage_ratio", help, ratios);
}
