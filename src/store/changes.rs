//! The stream of changes. Each script that changes samples appends an entry atomically, so that a reader
//! that has loaded everything can apply all later changes.
//!
//! The `number` of an entry is one more than that of the entry before. A reader detects by it that entries
//! are missing, because the stream was trimmed or Redis was restored with less data. The other fields are
//! `score`, `member` and `provenance` of a recorded sample, or `hour`, the first unix second of an hour that
//! was changed, or `slots` if the length of slots has changed.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use redis::{Script, pipe};

use super::{Store, StoreError, failed, keys, send, server::server_run};
use crate::{
    connection::Connection,
    domain::{Observation, Sample, UnixTime},
};

static COUNTS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("counts.lua")));

/// The maximum number of entries that are read at once.
const ENTRIES: usize = 2000;

/// The position of a reader in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The number of the last entry, 0 before the first one.
    pub number: u64,
    /// The id of the last entry in the stream.
    id: String,
}

/// A change of the stored samples.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A sample was recorded.
    Sample(Observation),
    /// The hour that begins at this unix second was changed.
    Hour(i64),
    /// A change that requires loading everything again, such as another length of slots.
    Everything,
}

/// Counts that a reader compares with its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// The position after the last change.
    pub position: Position,
    /// The number of members of `prices` with a valid time.
    pub members: u64,
    /// The score of the newest of them.
    pub newest: Option<f64>,
    /// The number of blocks.
    pub blocks: u64,
    /// The unix second before which the text of hours has been dropped.
    pub boundary: Option<i64>,
}

/// A reader of the stream, on its own connection, because a blocking read would block other requests.
pub struct Changes {
    connection: Connection,
    /// Identifies the current run of the Redis server, `run_id`.
    pub server: String,
}

type Entries = Vec<(String, HashMap<String, Vec<u8>>)>;

impl Store {
    /// Returns all counts, which are read atomically.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let mut step = COUNTS.key(keys::PRICES);
        step.key(keys::HOURS).key(keys::META).key(keys::CHANGES);
        step.arg(UnixTime::MIN.second()).arg(UnixTime::MAX.second() + 1);
        let connection = &mut self.connection.clone();
        let counts: (String, String, u64, String, u64, String) =
            send("count samples", step.invoke_async(connection)).await?;
        let (number, boundary, members, newest, blocks, id) = counts;
        let id = if id.is_empty() { "0-0".to_owned() } else { id };
        let position = Position { number: number.parse().unwrap_or_default(), id };
        let (boundary, newest) = (boundary.parse().ok(), newest.parse().ok());
        Ok(Counts { position, members, newest, blocks, boundary })
    }

    /// Returns the number of members of `prices` in each of the ranges of seconds `[from, until)`.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn members_in(&self, ranges: &[(i64, i64)]) -> Result<Vec<u64>, StoreError> {
        let mut counts = pipe();
        for (from, until) in ranges {
            counts.cmd("ZCOUNT").arg(keys::PRICES).arg(from).arg(format!("({until}"));
        }
        send("count samples", counts.query_async(&mut self.connection.clone())).await
    }

    /// Returns a reader of changes.
    ///
    /// # Errors
    /// Returns an error if Redis cannot be reached.
    pub async fn changes(&self) -> Result<Changes, StoreError> {
        let mut connection = send("connect to Redis", self.connection.server().connect()).await?;
        let server = server_run(&mut connection).await?;
        Ok(Changes { connection, server })
    }
}

impl Changes {
    /// Returns the changes after a position, oldest first, and the position after them; waits up to `wait`
    /// for the first one. Returns `None` if entries are missing: everything must be loaded again.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn after(
        &mut self,
        position: &Position,
        wait: Duration,
    ) -> Result<Option<(Vec<Change>, Position)>, StoreError> {
        let mut read = redis::cmd("XREAD");
        if !wait.is_zero() {
            read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        read.arg("COUNT").arg(ENTRIES).arg("STREAMS").arg(keys::CHANGES).arg(&position.id);
        let read = read.query_async::<Option<Vec<(String, Entries)>>>(&mut self.connection);
        let streams = read.await.map_err(failed("read changes"))?.unwrap_or_default();
        let (mut changes, mut position) = (Vec::new(), position.clone());
        for (id, fields) in streams.into_iter().flat_map(|(_, entries)| entries) {
            let number = text(&fields, "number").and_then(|number| number.parse().ok());
            if number != Some(position.number + 1) {
                return Ok(None);
            }
            position = Position { number: position.number + 1, id };
            changes.push(change(&fields));
        }
        Ok(Some((changes, position)))
    }
}

fn text<'a>(fields: &'a HashMap<String, Vec<u8>>, name: &str) -> Option<&'a str> {
    str::from_utf8(fields.get(name)?).ok()
}

fn change(fields: &HashMap<String, Vec<u8>>) -> Change {
    let sample = || {
        let score = text(fields, "score")?.parse().ok()?;
        let sample = Sample::from_member(text(fields, "member")?, score).ok()?;
        let provenance = text(fields, "provenance").and_then(|text| text.parse().ok());
        Some(Change::Sample(Observation { sample, provenance }))
    };
    let hour = || text(fields, "hour")?.parse().ok().map(Change::Hour);
    sample().or_else(hour).unwrap_or(Change::Everything)
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
