//! The sums of the metrics of all processes.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, keys, send};
use crate::metrics::{Batch, Sums};

static ADD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("add_sums.lua")));

impl Store {
    /// Adds a batch of metrics of a process. A batch that arrives twice is added once.
    ///
    /// # Errors
    /// Returns an error if Redis fails; it is safe to add the batch again.
    pub async fn add_sums(&self, process: &str, batch: &Batch) -> Result<(), StoreError> {
        let mut step = ADD.key(keys::SUMS);
        step.key(keys::process(process)).arg(batch.number);
        for (name, by) in &batch.sums {
            step.arg(name).arg(*by);
        }
        let connection = &mut self.connection.clone();
        let added = step.invoke_async::<u64>(connection);
        send("add metrics", added).await.map(|_| ())
    }

    /// Returns the sums of all processes.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn sums(&self) -> Result<Sums, StoreError> {
        let (mut command, connection) = (redis::cmd("HGETALL"), &mut self.connection.clone());
        let sums = command.arg(keys::SUMS).query_async(connection);
        send("read metrics", sums).await
    }
}
