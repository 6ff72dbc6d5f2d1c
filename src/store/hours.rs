//! Reading hours: text and block put together.
//!
//! One boundary separates hours. Before it the text of an hour has been dropped: the hour is its
//! block, plus samples that were added as text since. After it the text is the hour, and the block
//! is a copy that may be missing or outdated; it also has the provenance of the samples.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use redis::{Script, pipe};

use super::{
    BlockError, Hour, Store, StoreError, answer, block, failed,
    hour::{HOUR, hour_of},
    keys,
};
use crate::domain::{Observation, Provenance, Sample, SampleError, Schedule};

/// Reads members with their scores as texts, as `replace_hour.lua` reads them to compare them. The command
/// alone would give scores as numbers with RESP3.
static ROWS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2], 'WITHSCORES')",
    )
});

/// A member of `prices` and its score, as Redis writes it.
pub(super) type Row = (Vec<u8>, String);

/// What the block of an hour is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockState {
    /// There is none.
    Missing,
    /// It has all samples of the hour and no others.
    Current,
    /// It has other samples than the hour.
    Outdated,
    /// It cannot be read.
    Damaged(BlockError),
}

/// An hour as it is stored, and what is needed to replace it if it has not changed since.
#[derive(Debug, Clone)]
pub struct StoredHour {
    /// The first unix second of the hour.
    pub start: i64,
    /// Its samples, oldest first. Not all of them if it has a [`StoredHour::damage`].
    pub observations: Vec<Observation>,
    /// What its block is worth.
    pub block_state: BlockState,
    /// Its members in `prices`, samples or not, as they were read.
    pub(super) text: Vec<Row>,
    /// Its block as it was read; empty if there is none.
    pub(super) block: Vec<u8>,
    /// The boundary as it was read.
    pub(super) boundary: Option<i64>,
}

/// Identifies a stored sample within its hour: its score and its price.
pub(super) fn identity(observation: &Observation) -> (u64, i64) {
    let Sample { timestamp, price } = observation.sample;
    (timestamp.score().to_bits(), price.ten_thousandths())
}

impl Store {
    /// Reads one hour, which may be empty.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn hour(&self, start: i64) -> Result<StoredHour, StoreError> {
        let mut hours = self.hours(start, start + HOUR, &[start]).await?;
        let changed = StoreError::Contended { operation: "read an hour", hour: start };
        hours.pop().ok_or(changed)
    }

    /// Reads the hours that have text in the seconds `[from, until)`, which are whole hours, and
    /// those that begin at `also`; oldest first.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn hours(
        &self,
        from: i64,
        until: i64,
        also: &[i64],
    ) -> Result<Vec<StoredHour>, StoreError> {
        let mut connection = self.connection.clone();
        let mut step = ROWS.key(keys::PRICES);
        step.arg(from).arg(until);
        let rows: Vec<Row> = answer("read samples", step.invoke_async(&mut connection)).await?;
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
        let answers = reads.query_async::<Vec<redis::Value>>(&mut connection);
        let mut answers = answer("read hours", answers).await?.into_iter();
        let mut next = || answers.next().unwrap_or(redis::Value::Nil);
        let boundary: Option<i64> = read(next())?;
        let blocks: Vec<Option<Vec<u8>>> = read(next())?;
        let mut hours = Vec::with_capacity(texts.len());
        for ((start, text), block) in texts.into_iter().zip(blocks) {
            let noted: HashMap<i64, String> = read(next())?;
            hours.push(StoredHour::new(start, text, block.unwrap_or_default(), boundary, &noted));
        }
        Ok(hours)
    }

    /// The first unix seconds of all hours that have a block, in any order.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn block_starts(&self) -> Result<Vec<i64>, StoreError> {
        let (mut command, connection) = (redis::cmd("HKEYS"), &mut self.connection.clone());
        let starts = command.arg(keys::HOURS).query_async(connection);
        answer("list blocks", starts).await
    }

    /// The blocks of hours, given by their first unix seconds.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn blocks(&self, starts: &[i64]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (mut command, connection) = (redis::cmd("HMGET"), &mut self.connection.clone());
        let blocks = command.arg(keys::HOURS).arg(starts).query_async(connection);
        answer("read blocks", blocks).await
    }
}

/// Reads one of several answers.
fn read<T: redis::FromRedisValue>(value: redis::Value) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(|error| failed("understand stored hours")(error.into()))
}

impl StoredHour {
    fn new(
        start: i64,
        text: Vec<Row>,
        block: Vec<u8>,
        boundary: Option<i64>,
        noted: &HashMap<i64, String>,
    ) -> Self {
        let (sealed, mut block_state) = match block::decode(start, &block) {
            _ if block.is_empty() => (Vec::new(), BlockState::Missing),
            Ok(hour) => (hour.observations(0..hour.len()), BlockState::Current),
            Err(error) => (Vec::new(), BlockState::Damaged(error)),
        };
        let mut observations = readable(&text);
        let known: HashMap<_, &Observation> =
            sealed.iter().map(|observation| (identity(observation), observation)).collect();
        for observation in &mut observations {
            let of_block = known.get(&identity(observation));
            observation.provenance = noted
                .get(&observation.sample.timestamp.second())
                .and_then(|text| text.parse::<Provenance>().ok())
                .or_else(|| of_block.and_then(|known| known.provenance.clone()));
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

    /// The first unix second after the hour.
    pub fn end(&self) -> i64 {
        self.start + HOUR
    }

    /// The samples as columns.
    pub fn columns(&self) -> Hour {
        Hour::new(self.start, &self.observations)
    }

    /// How many members `prices` has in the hour, samples or not.
    pub fn members(&self) -> u64 {
        self.text.len() as u64
    }

    /// Whether it has a block.
    pub fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// Whether its text has been dropped.
    pub fn is_dropped(&self) -> bool {
        self.boundary.is_some_and(|boundary| self.start < boundary)
    }

    /// What its current block says of its samples that is not so.
    pub fn contradiction(&self, schedule: &Schedule) -> Option<&'static str> {
        let columns = self.columns();
        let expected = columns.summary(0..columns.len(), schedule);
        let summary = block::summary(self.start, &self.block, schedule);
        (summary != Ok(expected)).then_some("its summary is not that of its samples")
    }

    /// Why samples of it are lost: its text has been dropped, and its block cannot be read.
    pub fn damage(&self) -> Option<StoreError> {
        match &self.block_state {
            BlockState::Damaged(cause) if self.is_dropped() => {
                Some(StoreError::Damaged { hour: self.start, cause: cause.clone() })
            }
            _ => None,
        }
    }
}

/// The samples among the members of an hour. A member that is none, put there by hand, is reported
/// and ignored.
pub(super) fn readable(text: &[Row]) -> Vec<Observation> {
    let sample = |row| {
        sample(row)
            .inspect_err(
                |error| tracing::warn!(key = keys::PRICES, %error, "ignored a stored member"),
            )
            .ok()
    };
    text.iter().filter_map(sample).map(Observation::from).collect()
}

/// Reads a member and its score.
fn sample((member, score): &Row) -> Result<Sample, SampleError> {
    let score = score.parse().unwrap_or(f64::NAN);
    Sample::from_member(&String::from_utf8_lossy(member), score)
}

/// The members of an hour that are samples.
pub(super) fn readable_members(text: &[Row]) -> impl Iterator<Item = &[u8]> {
    text.iter().filter(|row| sample(row).is_ok()).map(|(member, _)| member.as_slice())
}
