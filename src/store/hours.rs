//! Reads hours and combines their text and their block.
//!
//! One boundary separates the hours. Before it the text of hours has been dropped: an hour consists of
//! its block, and of samples that were added as text since. After it an hour consists of its text, and its
//! block is a copy that may be missing or outdated; the block also has the provenance of the samples.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use redis::{Script, pipe};

use super::{
    BlockError, Hour, Store, StoreError, block, failed,
    hour::{HOUR, hour_of},
    keys, send,
};
use crate::domain::{Observation, Provenance, Sample, SampleError, Schedule};

/// Reads members with their scores as strings, as `replace_hour.lua` does to compare them. With RESP3 the
/// plain command would return scores as numbers.
static ROWS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2], 'WITHSCORES')",
    )
});

/// A member of `prices` and its score, as Redis writes it.
pub(super) type Row = (Vec<u8>, String);

/// The state of the block of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockState {
    /// The hour has no block.
    Missing,
    /// The block has all samples of the hour and no others.
    Current,
    /// The samples of the block differ from those of the hour.
    Outdated,
    /// The block cannot be decoded.
    Damaged(BlockError),
}

/// An hour as it is stored, with the raw data that is needed to replace it only if it has not changed since.
#[derive(Debug, Clone)]
pub struct StoredHour {
    /// The first unix second of the hour.
    pub start: i64,
    /// The samples of the hour, oldest first; incomplete if there is a [`StoredHour::damage`].
    pub observations: Vec<Observation>,
    /// The state of the block.
    pub block_state: BlockState,
    /// The members of `prices` in the hour as they were read, whether they are samples or not.
    pub(super) text: Vec<Row>,
    /// The block as it was read; empty if there is none.
    pub(super) block: Vec<u8>,
    /// The boundary as it was read.
    pub(super) boundary: Option<i64>,
}

/// Returns what identifies a stored sample within its hour: its score and its price.
pub(super) fn identity(observation: &Observation) -> (u64, i64) {
    let Sample { timestamp, price } = observation.sample;
    (timestamp.score().to_bits(), price.ten_thousandths())
}

impl Store {
    /// Reads one hour, which may be empty.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn hour(&self, start: i64) -> Result<StoredHour, StoreError> {
        let mut hours = self.hours(start, start + HOUR, &[start]).await?;
        let changed = StoreError::Contended { operation: "read an hour", hour: start };
        hours.pop().ok_or(changed)
    }

    /// Reads the hours that have text in the seconds `[from, until)`, which must be whole hours, and those
    /// that begin at `also`; oldest first.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn hours(
        &self,
        from: i64,
        until: i64,
        also: &[i64],
    ) -> Result<Vec<StoredHour>, StoreError> {
        let mut connection = self.connection.clone();
        let mut step = ROWS.key(keys::PRICES);
        step.arg(from).arg(until);
        let rows: Vec<Row> = send("read samples", step.invoke_async(&mut connection)).await?;
        let mut texts: BTreeMap<i64, Vec<Row>> =
            also.iter().map(|start| (*start, Vec::new())).collect();
        for (member, score) in rows {
            #[allow(clippy::cast_possible_truncation, reason = "a cast saturates")]
            let second = score.parse::<f64>().unwrap_or_default().floor() as i64;
            texts.entry(hour_of(second)).or_default().push((member, score));
        }
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let mut reads = pipe();
        reads.hget(keys::META, "boundary");
        let fields: Vec<i64> = texts.keys().copied().collect();
        reads.cmd("HMGET").arg(keys::HOURS).arg(&fields);
        for start in texts.keys() {
            reads.hgetall(keys::provenance(*start));
        }
        let responses = reads.query_async::<Vec<redis::Value>>(&mut connection);
        let mut responses = send("read hours", responses).await?.into_iter();
        let mut next = || responses.next().unwrap_or(redis::Value::Nil);
        let boundary: Option<i64> = read(next())?;
        let blocks: Vec<Option<Vec<u8>>> = read(next())?;
        let mut hours = Vec::with_capacity(texts.len());
        for ((start, text), block) in texts.into_iter().zip(blocks) {
            let provenances: HashMap<i64, String> = read(next())?;
            hours.push(StoredHour::new(
                start,
                text,
                block.unwrap_or_default(),
                boundary,
                &provenances,
            ));
        }
        Ok(hours)
    }

    /// Returns the first unix seconds of all hours that have a block, in any order.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn block_starts(&self) -> Result<Vec<i64>, StoreError> {
        let (mut command, connection) = (redis::cmd("HKEYS"), &mut self.connection.clone());
        let starts = command.arg(keys::HOURS).query_async(connection);
        send("list blocks", starts).await
    }

    /// Returns the blocks of hours, which are given by their first unix seconds.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn blocks(&self, starts: &[i64]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (mut command, connection) = (redis::cmd("HMGET"), &mut self.connection.clone());
        let blocks = command.arg(keys::HOURS).arg(starts).query_async(connection);
        send("read blocks", blocks).await
    }
}

/// Converts one of several responses.
fn read<T: redis::FromRedisValue>(value: redis::Value) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(|error| failed("parse stored hours")(error.into()))
}

impl StoredHour {
    fn new(
        start: i64,
        text: Vec<Row>,
        block: Vec<u8>,
        boundary: Option<i64>,
        provenances: &HashMap<i64, String>,
    ) -> Self {
        let (sealed, mut block_state) = match block::decode(start, &block) {
            _ if block.is_empty() => (Vec::new(), BlockState::Missing),
            Ok(hour) => (hour.observations(0..hour.len()), BlockState::Current),
            Err(error) => (Vec::new(), BlockState::Damaged(error)),
        };
        let mut observations = readable(&text);
        let by_identity: HashMap<_, &Observation> =
            sealed.iter().map(|observation| (identity(observation), observation)).collect();
        for observation in &mut observations {
            let of_block = by_identity.get(&identity(observation));
            observation.provenance = provenances
                .get(&observation.sample.timestamp.second())
                .and_then(|text| text.parse::<Provenance>().ok())
                .or_else(|| of_block.and_then(|sealed| sealed.provenance.clone()));
        }
        if boundary.is_some_and(|boundary| start < boundary) {
            let in_text: BTreeSet<_> = observations.iter().map(identity).collect();
            observations
                .extend(sealed.iter().filter(|it| !in_text.contains(&identity(it))).cloned());
            observations.sort_by_key(|observation| observation.sample.timestamp);
        }
        let is_same = observations.iter().map(identity).eq(sealed.iter().map(identity));
        if block_state == BlockState::Current && !is_same {
            block_state = BlockState::Outdated;
        }
        Self { start, observations, block_state, text, block, boundary }
    }

    /// Returns the first unix second after the hour.
    pub fn end(&self) -> i64 {
        self.start + HOUR
    }

    /// Returns the samples as columns.
    pub fn columns(&self) -> Hour {
        Hour::new(self.start, &self.observations)
    }

    /// Returns the number of members of `prices` in the hour, whether they are samples or not.
    pub fn members(&self) -> u64 {
        self.text.len() as u64
    }

    /// Returns whether the hour has a block.
    pub fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// Returns whether the text of the hour has been dropped.
    pub fn is_dropped(&self) -> bool {
        self.boundary.is_some_and(|boundary| self.start < boundary)
    }

    /// Returns what is wrong with the summary in the block if it does not match the samples.
    pub fn summary_problem(&self, schedule: &Schedule) -> Option<&'static str> {
        let columns = self.columns();
        let expected = columns.summary(0..columns.len(), schedule);
        let summary = block::summary(self.start, &self.block, schedule);
        (summary != Ok(expected)).then_some("its summary does not match its samples")
    }

    /// Returns why samples of the hour are lost: its text has been dropped, and its block cannot be decoded.
    pub fn damage(&self) -> Option<StoreError> {
        match &self.block_state {
            BlockState::Damaged(cause) if self.is_dropped() => {
                Some(StoreError::Damaged { hour: self.start, cause: cause.clone() })
            }
            _ => None,
        }
    }
}

/// Returns the samples among the members of an hour. Other members, which were added manually, are logged
/// and ignored.
pub(super) fn readable(text: &[Row]) -> Vec<Observation> {
    let sample = |row| {
        sample(row)
            .inspect_err(
                |error| tracing::warn!(key = keys::PRICES, %error, "ignored an invalid member"),
            )
            .ok()
    };
    text.iter().filter_map(sample).map(Observation::from).collect()
}

/// Parses a member and its score.
fn sample((member, score): &Row) -> Result<Sample, SampleError> {
    let score = score.parse().unwrap_or(f64::NAN);
    Sample::from_member(&String::from_utf8_lossy(member), score)
}

/// Returns the members of an hour that are samples.
pub(super) fn readable_members(text: &[Row]) -> impl Iterator<Item = &[u8]> {
    text.iter().filter(|row| sample(row).is_ok()).map(|(member, _)| member.as_slice())
}
