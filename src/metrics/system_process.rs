//! Metrics of this process: its version and role, and the values that the operating system reports, with the
//! names that official Prometheus clients use. Depends on `connection`.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::connection;

/// Returns the metrics that every process exposes.
pub fn process_registry(role: &str) -> Registry {
    let mut registry = Registry::default();
    register_build(&mut registry, role);
    register_process(&mut registry);
    registry
}

/// Adds the version and the role of this process, and the number of its reconnects to Redis.
fn register_build(registry: &mut Registry, role: &str) {
    let info = Family::<Vec<(&'static str, String)>, Gauge>::default();
    let labels = vec![("version", env!("COTIZA_VERSION").to_owned()), ("role", role.to_owned())];
    info.get_or_create(&labels).set(1);
    let help = "The version of Cotiza and the role of this process; always 1";
    registry.register("cotiza_build_info", help, info);
    let reconnects = Counter::<u64>::default();
    reconnects.inc_by(connection::reconnects());
    let help = "How often this process found a connection to Redis unfit and replaced it";
    registry.register("cotiza_redis_reconnects", help, reconnects);
}

/// Adds CPU time, memory, files and threads of this process; only on Linux.
#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &mut Registry) {}

/// Adds CPU time, memory, files and threads of this process; only on Linux.
#[cfg(target_os = "linux")]
fn register_process(registry: &mut Registry) {
    use std::sync::atomic::AtomicU64;

    use procfs::{
        WithCurrentSystemInfo as _,
        process::{LimitValue, Process},
    };
    let Ok((process, stat)) = Process::myself().and_then(|it| it.stat().map(|stat| (it, stat)))
    else {
        return;
    };
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    let processor = Counter::<f64, AtomicU64>::default();
    processor.inc_by(seconds(stat.utime + stat.stime));
    registry.register("process_cpu_seconds", "CPU time of this process", processor);
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            let gauge = Gauge::<i64>::default();
            gauge.set(value.cast_signed());
            registry.register(name, help, gauge);
        }
    };
    let resident = stat.rss_bytes().get();
    gauge("process_resident_memory_bytes", "Resident memory of this process", Some(resident));
    gauge("process_virtual_memory_bytes", "Virtual memory of this process", Some(stat.vsize));
    let threads = u64::try_from(stat.num_threads).ok();
    gauge("process_threads", "Threads of this process", threads);
    let files = process.fd_count().ok().and_then(|count| u64::try_from(count).ok());
    gauge("process_open_fds", "File descriptors that this process has open", files);
    let maximum = process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
        LimitValue::Value(maximum) => Some(maximum),
        LimitValue::Unlimited => None,
    });
    gauge("process_max_fds", "Maximum number of open file descriptors of this process", maximum);
    if let Ok(boot) = procfs::boot_time_secs() {
        let started = Gauge::<f64, AtomicU64>::default();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        started.set(boot as f64 + seconds(stat.starttime));
        let help = "Start time of this process, in unix seconds";
        registry.register("process_start_time_seconds", help, started);
    }
}
