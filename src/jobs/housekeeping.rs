//! The job that keeps what is stored within its bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Context, ScheduledJob};
use crate::{
    config::Config,
    domain::Slot,
    history::{Maintained, Retention},
    queue::{GiveUp, Job},
};

/// Forget finished jobs, delete samples older than `prices.keep`, drop text older than `prices.text`,
/// then seal hours that have ended. The deletions come first: a full Redis can do nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Housekeeping {
    /// The unix second at which it became due.
    pub due: i64,
}

impl Job for Housekeeping {
    const NAME: &'static str = "housekeeping";

    type Context = Context;

    fn key(&self) -> String {
        self.due.to_string()
    }

    async fn run(self, context: Context, _tries: u32) -> Result<(), GiveUp> {
        let forgotten = context.caretaker.tidy().await?;
        tracing::debug!(forgotten, "forgot finished jobs");
        // By a clock that was set, samples of today may seem to be old.
        let retention = if context.store.is_clock_in_doubt().await? {
            Retention::default()
        } else {
            context.retention
        };
        let now = context.store.clock().unix_seconds();
        let done = context.history.maintain(now, retention).await?;
        if done != Maintained::default() {
            let Maintained { sealed, dropped, deleted } = done;
            tracing::info!(sealed, dropped, deleted, "maintained the recorded prices, in hours");
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
