//! The samples in `prices`: recording them, reading one, a page.

use std::sync::LazyLock;

use redis::{RedisResult, Script, Value};

use super::{
    Store, StoreError, failed, keys,
    rollups::{LARGEST_NODE, LEVELS, NAMES, SUMS},
    span::{Cut, Span},
};
use crate::domain::{Observation, Sample, TimeRange};

static RECORD: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("nodes.lua"), include_str!("record.lua"))));

/// Members of a ZSET, each with its score. A member may be anything, put there by hand.
pub(super) type Rows = Vec<(Vec<u8>, f64)>;

/// How many members are looked through for the last sample, where the last ones are no samples.
const UNREADABLE: i64 = 1000;

/// The seconds in a piece of a long reading.
pub(super) const PIECE: i64 = 86_400;

/// What came of recording a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored.
    Stored,
    /// Its slot has a sample already, which stays.
    SlotTaken,
}

impl Store {
    /// Records the one sample of a slot; the first one wins. O(log n).
    ///
    /// # Errors
    /// If Redis fails. It may have stored the sample even then: recording it again is safe.
    pub async fn record(&self, observation: &Observation) -> Result<Recorded, StoreError> {
        let stored = self.record_all(std::slice::from_ref(observation)).await?;
        Ok(if stored == 1 { Recorded::Stored } else { Recorded::SlotTaken })
    }

    /// Records samples, each unless its slot has one, and the rollups with them, in one step.
    /// Gives how many were stored.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_all(&self, observations: &[Observation]) -> Result<u64, StoreError> {
        let mut step = RECORD.key(keys::PRICES);
        step.key(keys::ROLLUPS).key(keys::GAPS).key(&keys::MISSED[..]);
        step.arg(self.slots.length().as_secs()).arg(LEVELS.len());
        step.arg(&NAMES[..]).arg(&SUMS[..]).arg(&LEVELS[..]).arg(LARGEST_NODE);
        step.arg(keys::QUOTES).arg(keys::SOURCE);
        for Observation { sample, provenance } in observations {
            step.arg(sample.timestamp).arg(sample.member()).arg(sample.price.ten_thousandths());
            step.arg(provenance.as_ref().map(ToString::to_string).unwrap_or_default());
        }
        let stored = step.invoke_async(&mut self.connection.clone()).await;
        stored.map_err(failed("record samples"))
    }

    /// The sample observed in the given unix second; of several (the old stack's) the last one.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn sample_at(&self, second: i64) -> Result<Option<Sample>, StoreError> {
        let rows = self.rows(&Span::of_seconds(second, second.saturating_add(1))).await?;
        Ok(samples(rows).last())
    }

    /// The last sample of all.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn latest(&self) -> Result<Option<Observation>, StoreError> {
        for last in [1, UNREADABLE] {
            let mut command = redis::cmd("ZRANGE");
            command.arg(keys::PRICES).arg(-last).arg(-1).arg("WITHSCORES");
            let rows: RedisResult<Rows> = command.query_async(&mut self.connection.clone()).await;
            let sample = samples(rows.map_err(failed("read the last sample"))?).last();
            if sample.is_some() {
                return Ok(self
                    .with_remembered_provenance(sample.into_iter().collect())
                    .await?
                    .pop());
            }
        }
        Ok(None)
    }

    /// The seconds of the first and the last sample of all.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn first_and_last(&self) -> Result<Option<(i64, i64)>, StoreError> {
        self.extent(&Span::from(&TimeRange::default())).await
    }

    /// The samples of a range, oldest first, a day at a time: all of them in constant memory.
    pub fn pieces(&self, range: &TimeRange) -> Pieces<'_> {
        Pieces { store: self, rest: Some(Span::from(range)) }
    }

    /// The members of `prices` in a span, each with its score, oldest first.
    pub(super) async fn rows(&self, span: &Span) -> Result<Rows, StoreError> {
        let (since, until) = span.bounds();
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(keys::PRICES).arg(since).arg(until).arg("WITHSCORES");
        let rows = command.query_async(&mut self.connection.clone()).await;
        rows.map_err(failed("read samples"))
    }
}

/// The samples of a range, piece by piece. See [`Store::pieces`].
#[derive(Debug)]
pub struct Pieces<'a> {
    store: &'a Store,
    rest: Option<Span>,
}

impl Pieces<'_> {
    /// The next samples, or `None` at the end.
    ///
    /// # Errors
    /// If Redis fails; asking again goes on where it failed.
    pub async fn next(&mut self) -> Result<Option<Vec<Observation>>, StoreError> {
        let Some(rest) = self.rest else { return Ok(None) };
        let Some((first, last)) = self.store.extent(&rest).await? else { return Ok(None) };
        let end = first.saturating_add(PIECE);
        if end <= first {
            return Ok(None); // a score beyond all time, put there by hand
        }
        let piece = Span { since: rest.since, ..Span::of_seconds(first, end) };
        let (piece, rest) = if last < end {
            (rest, None)
        } else {
            (piece, Some(Span { since: Some(Cut::before_second(end)), ..rest }))
        };
        let rows = self.store.rows(&piece).await?;
        let observations = self.store.with_provenance(samples(rows).collect()).await?;
        self.rest = rest;
        Ok(Some(observations))
    }
}

/// The unix second that the first of some rows lies in.
pub(super) fn first_second(rows: &[(Vec<u8>, f64)]) -> Option<i64> {
    let (_, score) = rows.first()?;
    #[allow(clippy::cast_possible_truncation, reason = "unix seconds; a float cast saturates")]
    Some(score.floor() as i64)
}

/// The samples in rows of member and score, oldest first as they come. A member that is none, put
/// there by hand, is reported and passed over: it must not take the others from the reader.
pub(super) fn samples(rows: Rows) -> impl Iterator<Item = Sample> {
    rows.into_iter().filter_map(|(member, score)| {
        Sample::from_member(&String::from_utf8_lossy(&member), score)
            .inspect_err(|error| tracing::warn!(%error, score, "passed over a stored member"))
            .ok()
    })
}

/// The samples in members without scores; `None` if one of them does not tell its second itself.
pub(super) fn own_samples(members: &Value) -> Option<Vec<Sample>> {
    let Value::Array(members) = members else { return None };
    let mut samples = Vec::with_capacity(members.len());
    for member in members {
        let Value::BulkString(member) = member else { return None };
        samples.push(Sample::from_own_member(str::from_utf8(member).ok()?)?);
    }
    Some(samples)
}
