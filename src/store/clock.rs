//! Clocks in the store: the clock of Redis, when it was set, and the skew of the clocks of other machines.

use std::time::Duration;

use super::{Store, StoreError, keys, send};
use crate::clock::Clock;

/// How long nothing is deleted after the clock was set.
const CAUTION: Duration = Duration::from_hours(24);

impl Store {
    /// Returns the clock of Redis as this process estimates it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Reads the time of Redis, so that the clock is exact now.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn sync_clock(&self) -> Result<(), StoreError> {
        let connection = &mut self.connection.clone();
        send("read the time of Redis", self.clock.sync(connection)).await
    }

    /// Records in Redis that its clock was set, if this process has detected that and has not recorded it
    /// yet: processes that start later must know it, too.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn record_clock_jump(&self) -> Result<(), StoreError> {
        let Some(jumps) = self.clock.unrecorded_jumps() else { return Ok(()) };
        let mut record = redis::cmd("HSET");
        record.arg(keys::META).arg("clock_set").arg(self.clock.unix_seconds());
        let connection = &mut self.connection.clone();
        send("record that the clock was set", record.query_async::<()>(connection)).await?;
        self.clock.mark_jumps_recorded(jumps);
        Ok(())
    }

    /// Returns whether the clock of Redis was set within the last day: in this case a sample that seems to be
    /// old may be a new one.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn was_clock_set_recently(&self) -> Result<bool, StoreError> {
        self.sync_clock().await?;
        if let Err(error) = self.record_clock_jump().await {
            tracing::debug!(%error, "cannot record that the clock was set");
        }
        let mut command = redis::cmd("HGET");
        let connection = &mut self.connection.clone();
        let set_at = command.arg(keys::META).arg("clock_set").query_async(connection);
        let set_at: Option<i64> = send("read when the clock was set", set_at).await?;
        let now = self.clock.unix_seconds();
        let detected_here = self.clock.since_jump().is_some_and(|since| since < CAUTION);
        Ok(detected_here
            || set_at.is_some_and(|at| Duration::from_secs(now.abs_diff(at)) < CAUTION))
    }

    /// Returns how far the clocks of the machines of all processes are ahead of the clock of Redis, in
    /// seconds, with the names of the processes.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn skews(&self) -> Result<Vec<(String, f64)>, StoreError> {
        let (mut command, connection) = (redis::cmd("ZRANGE"), &mut self.connection.clone());
        command.arg(keys::SKEW).arg(0).arg(-1).arg("WITHSCORES");
        send("read the skew of clocks", command.query_async(connection)).await
    }
}
