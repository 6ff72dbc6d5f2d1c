//! What every process reports about itself: that it is at work, and what it has counted.

use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use crate::{
    metrics::Metrics,
    store::{Activity, Member, Role, Store, StoreError},
};

/// The time between two heartbeats of a process.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// How long a process that ends may take to remove itself.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

/// The presence of this process among all processes.
pub(super) struct Presence {
    store: Store,
    member: Member,
    started: Instant,
    metrics: Metrics,
}

impl Presence {
    pub(super) fn new(store: Store, role: Role, metrics: Metrics) -> Self {
        let member = Member {
            role,
            name: super::name(),
            host: super::host(),
            pid: std::process::id(),
            version: env!("COTIZA_VERSION"),
            started_at: 0,
        };
        Self { store, member, started: Instant::now(), metrics }
    }

    /// The name of this process among all processes.
    pub(super) fn name(&self) -> &str {
        &self.member.name
    }

    /// Sends one heartbeat, and what this process has counted.
    pub(super) async fn beat(&self, activity: Activity) -> Result<(), StoreError> {
        // By the clock of Redis, which was not known at the start.
        let age = i64::try_from(self.started.elapsed().as_secs()).unwrap_or_default();
        let started_at = self.store.clock().unix_seconds() - age;
        let member = Member { started_at, ..self.member.clone() };
        self.store.heartbeat(&member, activity).await?;
        self.send_sums().await
    }

    /// Sends what this process has counted and not sent yet.
    async fn send_sums(&self) -> Result<(), StoreError> {
        if let Some(batch) = self.metrics.batch() {
            self.store.add_sums(&self.member.name, &batch).await?;
            self.metrics.sent();
        }
        Ok(())
    }

    /// Sends heartbeats for ever, as long as the process is at work.
    pub(super) async fn show(&self, is_at_work: impl Fn() -> bool) {
        let mut ticks = interval(EVERY);
        loop {
            ticks.tick().await;
            if is_at_work()
                && let Err(error) = self.beat(Activity::default()).await
            {
                tracing::debug!(%error, "cannot send a heartbeat");
            }
        }
    }

    /// Sends what is left and removes this process from the list of processes; gives up soon if Redis is
    /// away.
    pub(super) async fn leave(&self) {
        let left = async {
            self.send_sums().await?;
            self.store.leave(&self.member).await
        };
        match timeout(LEAVE_TIMEOUT, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot remove this process from the list"),
            Err(_) => tracing::debug!("cannot remove this process from the list in time"),
        }
    }
}
