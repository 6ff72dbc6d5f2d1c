//! The metrics of all processes, read from Redis.

use std::collections::BTreeMap;

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::known::{Gauges, Labels, float, gauge, set};
use crate::{
    api::numbers::seconds,
    config::Config,
    domain::{CircuitState, MissedReason, MissedSlots, TimeRange},
    history::History,
    metrics::collector,
    queue::{Inspector, JobState, QueueReport},
    store::{ProcessReport, Role, ServerReport, SourceReport},
};

type Counters = Family<Labels, Counter>;

/// The help text of `redis_up`.
pub(super) const REDIS_UP: &str = "Whether Redis can be reached";

/// Adds the metrics that are read from Redis. Metrics that cannot be read are left out.
pub(super) async fn register(
    registry: &mut Registry,
    server: &ServerReport,
    history: &History,
    inspector: &Inspector,
    config: &Config,
) {
    let store = history.store();
    let names: Vec<&str> = config.sources.named.keys().map(String::as_str).collect();
    let all = TimeRange::default();
    let (reports, found, queued, covered, sums) = tokio::join!(
        store.source_reports(&names),
        store.processes(),
        inspector.queues(),
        history.coverage(&all, history.now()),
        store.sums(),
    );
    redis(registry, server);
    if let Some(covered) = readable("coverage", covered) {
        missed(registry, &covered.value.missed);
    }
    if let Some(found) = readable("processes", found) {
        processes(registry, &found);
    }
    if let Some(queued) = readable("queues", queued) {
        queues(registry, &queued);
    }
    if let Some(reports) = readable("sources", reports) {
        sources(registry, &names, &reports);
    }
    if let Some(sums) = readable("sums", sums) {
        registry.register_collector(Box::new(collector(sums, |is_shared| is_shared)));
    }
}

/// The value that was read, if any.
fn readable<T>(what: &str, read: Result<T, impl std::fmt::Display>) -> Option<T> {
    read.inspect_err(|error| tracing::debug!(%error, what, "some metrics are left out of a scrape"))
        .ok()
}

fn redis(registry: &mut Registry, server: &ServerReport) {
    gauge(registry, "redis_up", REDIS_UP, 1.0);
    if let Some(memory) = server.memory {
        gauge(registry, "redis_memory_bytes", "Memory used by the data of Redis", float(memory));
    }
    if let Some(most) = server.max_memory {
        gauge(registry, "redis_max_memory_bytes", "Memory limit of Redis", float(most));
    }
    let latency = server.latency.as_secs_f64();
    gauge(registry, "redis_latency_seconds", "Time that Redis took to answer a request", latency);
}

fn missed(registry: &mut Registry, missed: &MissedSlots) {
    let gauges = Gauges::default();
    let by_reason = MissedReason::ALL.map(MissedReason::name).into_iter().zip(missed.by_reason);
    for (reason, count) in by_reason.chain([("not_scheduled", missed.not_scheduled)]) {
        set(&gauges, &[("reason", reason)], float(count));
    }
    registry.register("missed_slots", "Slots that ended without a price, by reason", gauges);
}

fn queues(registry: &mut Registry, queues: &[QueueReport]) {
    let (jobs, ages, paused) = (Gauges::default(), Gauges::default(), Gauges::default());
    for queue in queues {
        for state in JobState::ALL {
            let labels = [("queue", queue.name), ("state", state.name())];
            set(&jobs, &labels, float(queue.count(state)));
        }
        let age = seconds(queue.oldest_age_ms.unwrap_or_default());
        set(&ages, &[("queue", queue.name)], age);
        set(&paused, &[("queue", queue.name)], f64::from(u8::from(queue.paused.is_some())));
    }
    registry.register("queue_jobs", "Jobs in a queue, by state", jobs);
    let help = "Time since the oldest waiting job was enqueued; 0 if no job waits";
    registry.register("queue_oldest_due_age_seconds", help, ages);
    registry.register("queue_paused", "Whether an operator has paused a queue", paused);
}

/// The number of live processes by role, and for each host the largest clock skew of its processes.
fn processes(registry: &mut Registry, processes: &[ProcessReport]) {
    let (counts, skews) = (Gauges::default(), Gauges::default());
    let mut hosts: BTreeMap<&str, f64> = BTreeMap::new();
    let alive = || processes.iter().filter(|process| process.is_alive());
    for role in Role::ALL {
        let count = alive().filter(|process| process.role == role).count();
        set(&counts, &[("role", role.name())], float(count as u64));
    }
    for process in alive() {
        let (worst, skew) =
            (hosts.entry(&process.host).or_default(), process.clock_skew.unwrap_or_default());
        if skew.abs() >= worst.abs() {
            *worst = skew;
        }
    }
    for (host, skew) in hosts {
        set(&skews, &[("host", host)], skew);
    }
    registry.register("processes", "Live processes, by role", counts);
    let help = "How far the clock of a machine is ahead of the clock of Redis";
    registry.register("clock_skew_seconds", help, skews);
}

fn sources(registry: &mut Registry, names: &[&str], reports: &[SourceReport]) {
    let (answers, failures) = (Counters::default(), Counters::default());
    let (samples, workers) = (Counters::default(), Gauges::default());
    for (name, report) in names.iter().zip(reports) {
        let add = |counters: &Counters, more: &[(&'static str, &str)], count| {
            let labels = [&[("source", *name)], more].concat();
            let labels = labels.into_iter().map(|(label, value)| (label, value.to_owned()));
            counters.get_or_create(&labels.collect()).inc_by(count);
        };
        add(&answers, &[], report.answered);
        add(&samples, &[], report.samples);
        for (reason, count) in MissedReason::OF_SOURCES.into_iter().zip(report.failed) {
            add(&failures, &[("reason", reason.name())], count);
        }
        for state in CircuitState::REPORTED {
            let count = report.circuits.iter().filter(|circuit| circuit.state == state).count();
            set(&workers, &[("source", name), ("state", state.name())], float(count as u64));
        }
    }
    registry.register("source_answers", "Requests that a source answered with a price", answers);
    registry.register("source_failures", "Requests to a source that failed, by reason", failures);
    registry.register("source_samples", "Samples from a source", samples);
    let help = "Workers by the state of their circuit breaker for a source";
    registry.register("source_workers", help, workers);
}
