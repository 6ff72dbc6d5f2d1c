//! What an api knows without Redis: the recorded prices.

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

/// Adds what the history has: price, coverage, size.
pub(super) async fn register(registry: &mut Registry, history: &History, config: &Config) {
    price(registry, history, config).await;
    coverage(registry, history).await;
    let size = history.size();
    gauge(registry, "history_samples", "Recorded prices", float(size.samples));
    let help = "Memory that this process keeps prices in";
    gauge(registry, "history_memory_bytes", help, float(size.memory as u64));
    let jumps = Counter::<u64>::default();
    jumps.inc_by(history.store().clock().jumps());
    let help = "How often the clock of Redis was set by more than a second, as this process saw it";
    registry.register("clock_jumps", help, jumps);
}

async fn price(registry: &mut Registry, history: &History, config: &Config) {
    let Ok(latest) = history.latest().await else { return };
    let Some(latest) = latest.value else { return };
    let second = latest.sample.timestamp.second();
    let age = (history.now() - second).max(0);
    let is_stale = age > config.stale_after();
    gauge(registry, "price_pesos", "The last price of one bitcoin", pesos(latest.sample.price));
    gauge(registry, "price_age_seconds", "The age of the last price", float(age.unsigned_abs()));
    let help = "Whether the last price is so old that something is wrong";
    gauge(registry, "price_stale", help, f64::from(u8::from(is_stale)));
    let help = "When the last price was observed, in unix seconds";
    let second = u64::try_from(second).unwrap_or_default();
    gauge(registry, "last_price_timestamp_seconds", help, float(second));
}

async fn coverage(registry: &mut Registry, history: &History) {
    let now = history.now();
    if let Ok(all) = history.counted(&TimeRange::default(), now).await {
        gauge(registry, "recorded_slots", "Slots with a price", float(all.value.recorded));
    }
    let ratios = Gauges::default();
    for (window, seconds) in [("1h", HOUR), ("24h", DAY)] {
        let Ok(range) = TimeRange::new(Some(UnixTime::from_seconds(now - seconds)), None) else {
            continue;
        };
        let counted = history.counted(&range, now).await.ok();
        if let Some(share) = counted.and_then(|counted| counted.value.share()) {
            set(&ratios, &[("window", window)], share);
        }
    }
    let help = "The share of the slots of a window that have a price";
    registry.register("coverage_ratio", help, ratios);
}
