//! The heartbeats of a process: they report that it is healthy, and its metrics. Depends on `metrics` and
//! `store`.

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use crate::{
    metrics::Metrics,
    store::{Activity, ProcessInfo, Role, Store, StoreError},
};

/// The interval of the heartbeats.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// The timeout of the removal of a process that ends.
const DEREGISTER_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends the heartbeats of this process.
pub(super) struct Heartbeat {
    store: Store,
    info: ProcessInfo,
    started: Instant,
    metrics: Metrics,
}

impl Heartbeat {
    pub(super) fn new(store: Store, role: Role, metrics: Metrics) -> Self {
        let info = ProcessInfo {
            role,
            name: super::name(),
            host: super::host(),
            pid: std::process::id(),
            version: env!("COTIZA_VERSION"),
            started_at: 0,
        };
        Self { store, info, started: Instant::now(), metrics }
    }

    /// Returns the unique name of this process.
    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    /// Sends a heartbeat and the sums of metrics that have not been sent yet.
    pub(super) async fn send(&self, activity: Activity) -> Result<(), StoreError> {
        // By the clock of Redis, which was not known when the process started.
        let age = i64::try_from(self.started.elapsed().as_secs()).unwrap_or_default();
        let started_at = self.store.clock().unix_seconds() - age;
        let info = ProcessInfo { started_at, ..self.info.clone() };
        self.store.heartbeat(&info, activity).await?;
        self.send_sums().await
    }

    /// Sends the sums of metrics that have not been sent yet.
    async fn send_sums(&self) -> Result<(), StoreError> {
        if let Some(batch) = self.metrics.batch() {
            self.store.add_sums(&self.info.name, &batch).await?;
            self.metrics.sent();
        }
        Ok(())
    }

    /// Sends heartbeats while the process is healthy. Never returns.
    pub(super) async fn send_while(&self, is_healthy: impl Fn() -> bool) {
        let mut ticks = interval(EVERY);
        loop {
            ticks.tick().await;
            if is_healthy()
                && let Err(error) = self.send(Activity::default()).await
            {
                tracing::debug!(%error, "cannot send a heartbeat");
            }
        }
    }

    /// Sends the remaining sums and removes this process from the list of processes. Stops after a short
    /// timeout if Redis is unavailable.
    pub(super) async fn deregister(&self) {
        let deregistered = async {
            self.send_sums().await?;
            self.store.deregister(&self.info).await
        };
        match timeout(DEREGISTER_TIMEOUT, deregistered).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot remove this process from the list"),
            Err(_) => tracing::debug!("cannot remove this process from the list in time"),
        }
    }
}
