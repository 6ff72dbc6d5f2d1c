//! The lengths of slots, stored in Redis so that all processes use the same slots.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, keys, send};
use crate::domain::Schedule;

static SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("set_slots.lua")));

impl Store {
    /// Returns the schedule of slots; slots of the configured length if none is stored.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn schedule(&self) -> Result<Schedule, StoreError> {
        let (mut command, connection) = (redis::cmd("HGETALL"), &mut self.connection.clone());
        let stored = command.arg(keys::SLOTS).query_async(connection);
        let stored: Vec<(i64, u64)> = send("read the lengths of slots", stored).await?;
        Ok(Schedule::from_changes(stored).unwrap_or_else(|| Schedule::new(self.slots)))
    }

    /// Records that slots have the configured length, starting with the slot that contains the unix second
    /// `now`. Does nothing if that is the current length.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn set_slots(&self, now: i64) -> Result<(), StoreError> {
        let length = self.slots.length().as_secs();
        let mut step = SET.key(keys::SLOTS);
        step.key(keys::META).key(keys::CHANGES);
        step.arg(length).arg(self.slots.containing(now).start());
        let connection = &mut self.connection.clone();
        let before: u64 = send("record the length of slots", step.invoke_async(connection)).await?;
        if before != 0 && before != length {
            tracing::warn!(before, now = length, "the length of slots has changed (in seconds)");
        }
        Ok(())
    }
}
