//! The job that deletes what is too old, and seals hours that have ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Context, ScheduledJob};
use crate::{
    config::Config,
    domain::Slot,
    history::{Maintained, Retention},
    queue::{Job, JobError},
};

/// Removes finished jobs, deletes samples older than `prices.keep`, drops the text of hours older than
/// `prices.text`, then seals hours that have ended. Deletions come first: a full Redis accepts nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Housekeeping {
    /// The unix second at which the job became due.
    pub due: i64,
}

impl Job for Housekeeping {
    const NAME: &'static str = "housekeeping";

    type Context = Context;

    fn key(&self) -> String {
        self.due.to_string()
    }

    async fn run(self, context: Context, _attempt: u32) -> Result<(), JobError> {
        let purged = context.janitor.purge_finished().await?;
        tracing::debug!(purged, "removed finished jobs");
        // After the clock was set, samples of today may seem to be old.
        let retention = if context.store.was_clock_set_recently().await? {
            Retention::default()
        } else {
            context.retention
        };
        let now = context.store.clock().unix_seconds();
        let maintained = context.history.maintain(now, retention).await?;
        if maintained != Maintained::default() {
            let Maintained { sealed, dropped, deleted } = maintained;
            tracing::info!(sealed, dropped, deleted, "housekeeping changed this many hours");
        }
        Ok(())
    }
}

impl ScheduledJob for Housekeeping {
    fn every(config: &Config) -> Duration {
        config.queue.housekeeping_every
    }

    fn due(slot: Slot) -> Self {
        Self { due: slot.start() }
    }
}
