//! What the store knows of clocks: the time of Redis, when it was set, and how wrong the clocks of
//! other machines are.

use std::time::Duration;

use super::{Store, StoreError, answer, keys};
use crate::clock::Clock;

/// For how long nothing is deleted after a clock was set.
const CAUTION: Duration = Duration::from_hours(24);

impl Store {
    /// The clock of Redis, as this process knows it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Asks Redis for the time, so that the clock is exact now.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn ask_time(&self) -> Result<(), StoreError> {
        let connection = &mut self.connection.clone();
        answer("ask Redis for the time", self.clock.ask(connection)).await
    }

    /// Notes in Redis that its clock was set, if this process has seen that and has not noted it yet:
    /// processes that start later must know it, too.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn note_jump(&self) -> Result<(), StoreError> {
        let Some(jumps) = self.clock.jumps_to_note() else { return Ok(()) };
        let mut note = redis::cmd("HSET");
        note.arg(keys::META).arg("clock_set").arg(self.clock.unix_seconds());
        let connection = &mut self.connection.clone();
        answer("note that a clock was set", note.query_async::<()>(connection)).await?;
        self.clock.note_jumps(jumps);
        Ok(())
    }

    /// Whether the clock of Redis was set within the last day: then a sample that seems to be old
    /// may be a new one.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn is_clock_in_doubt(&self) -> Result<bool, StoreError> {
        self.ask_time().await?;
        if let Err(error) = self.note_jump().await {
            tracing::debug!(%error, "not noted that a clock was set");
        }
        let mut command = redis::cmd("HGET");
        let connection = &mut self.connection.clone();
        let set = command.arg(keys::META).arg("clock_set").query_async(connection);
        let set: Option<i64> = answer("ask when a clock was set", set).await?;
        let now = self.clock.unix_seconds();
        let seen_here = self.clock.since_jump().is_some_and(|since| since < CAUTION);
        Ok(seen_here || set.is_some_and(|at| Duration::from_secs(now.abs_diff(at)) < CAUTION))
    }

    /// How far the clocks of the machines of all processes are ahead of the clock of Redis, in
    /// seconds, with the names of the processes.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn skews(&self) -> Result<Vec<(String, f64)>, StoreError> {
        let (mut command, connection) = (redis::cmd("ZRANGE"), &mut self.connection.clone());
        command.arg(keys::SKEW).arg(0).arg(-1).arg("WITHSCORES");
        answer("read how wrong clocks are", command.query_async(connection)).await
    }
}
