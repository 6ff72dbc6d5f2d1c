//! What all processes have counted and measured, added up.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, answer, keys};
use crate::metrics::{Batch, Sums};

static ADD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("add_sums.lua")));

impl Store {
    /// Adds what a process has counted. A batch that arrives twice is added once.
    ///
    /// # Errors
    /// If Redis fails; adding the batch again is safe.
    pub async fn add_sums(&self, process: &str, batch: &Batch) -> Result<(), StoreError> {
        let mut step = ADD.key(keys::SUMS);
        step.key(keys::process(process)).arg(batch.number);
        for (name, by) in &batch.sums {
            step.arg(name).arg(*by);
        }
        let connection = &mut self.connection.clone();
        let added = step.invoke_async::<u64>(connection);
        answer("add what was counted", added).await.map(|_| ())
    }

    /// What all processes have counted.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn sums(&self) -> Result<Sums, StoreError> {
        let (mut command, connection) = (redis::cmd("HGETALL"), &mut self.connection.clone());
        let sums = command.arg(keys::SUMS).query_async(connection);
        answer("read what was counted", sums).await
    }
}
