//! Migrates the data of version 0.1. Its samples have the current text format. It also stored sums, which
//! are derived data, and provenance under other keys.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, failed, hour_of, keys, send};

static MOVE_QUOTES: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("move_quotes.lua")));

/// The number of seconds whose provenance version 0.1 stored in one key.
const QUOTES_SECONDS: i64 = 1000;

/// The number of keys that one SCAN command examines.
const SCAN: usize = 1000;

impl Store {
    /// Moves the provenance and the length of slots of version 0.1 to the current keys and deletes its sums.
    /// Does nothing if there is no data of version 0.1; may be interrupted and repeated.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn upgrade(&self) -> Result<(), StoreError> {
        let connection = &mut self.connection.clone();
        let mut command = redis::cmd("EXISTS");
        command.arg(&keys::v0_1::ROLLUPS).arg(keys::v0_1::GAPS).arg(keys::v0_1::SLOT);
        let found: u64 = send("find keys of version 0.1", command.query_async(connection)).await?;
        if found == 0 {
            return Ok(());
        }
        let moved = self.move_quotes().await?;
        let mut command = redis::cmd("GET");
        let slot = command.arg(keys::v0_1::SLOT).query_async::<Option<u64>>(connection);
        if let Some(seconds) = send("read the length of slots", slot).await? {
            let mut command = redis::cmd("HSETNX");
            let set = command.arg(keys::SLOTS).arg(0).arg(seconds).query_async::<()>(connection);
            send("record the length of slots", set).await?;
        }
        self.report_trimmed().await?;
        let mut command = redis::cmd("UNLINK");
        command.arg(&keys::v0_1::ROLLUPS).arg(keys::v0_1::GAPS).arg(keys::v0_1::SLOT);
        send("delete keys of version 0.1", command.query_async::<()>(connection)).await?;
        tracing::info!(provenance_of_samples = moved, "migrated the data of version 0.1");
        Ok(())
    }

    async fn move_quotes(&self) -> Result<u64, StoreError> {
        let mut connection = send("connect to Redis", self.connection.current()).await?;
        let (mut cursor, mut moved) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{}*", keys::v0_1::QUOTES));
            scan.arg("COUNT").arg(SCAN);
            let found = connection.send_to(keys::PRICES, scan);
            let found = send("find provenance of version 0.1", found).await?;
            let (next, found): (u64, Vec<String>) = redis::from_redis_value(found)
                .map_err(|error| failed("parse a list of keys")(error.into()))?;
            for key in found {
                let first = key.strip_prefix(keys::v0_1::QUOTES).and_then(|at| at.parse().ok());
                let Some(first) = first else { continue };
                let (hour, last_hour) = (hour_of(first), hour_of(first + QUOTES_SECONDS - 1));
                let mut step = MOVE_QUOTES.key(key);
                step.key(keys::provenance(hour)).key(keys::provenance(last_hour)).arg(last_hour);
                moved += send("move provenance", step.invoke_async::<u64>(&mut connection)).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(moved);
            }
        }
    }

    /// Logs up to when version 0.1 had trimmed samples to sums, which cannot be migrated.
    async fn report_trimmed(&self) -> Result<(), StoreError> {
        for rollups in keys::v0_1::ROLLUPS {
            let mut command = redis::cmd("HGET");
            let connection = &mut self.connection.clone();
            let frame = command.arg(rollups).arg("frame").query_async::<Option<String>>(connection);
            let frame = send("read which samples were trimmed", frame).await?.unwrap_or_default();
            let trimmed = frame.rsplit(':').next().and_then(|second| second.parse::<i64>().ok());
            if let Some(before) = trimmed.filter(|second| *second > -1_000_000_000_000) {
                tracing::warn!(
                    before,
                    "version 0.1 had trimmed samples before this unix second to sums; sums are not \
                     migrated, so there are no prices before it"
                );
            }
        }
        Ok(())
    }
}
