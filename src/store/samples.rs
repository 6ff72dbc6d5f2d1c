//! The samples in `prices`: recording one, reading one, a page, a summary.

use std::sync::LazyLock;

use redis::{RedisResult, Script};

use super::{Store, StoreError, failed, keys};
use crate::domain::{Page, PageNumber, PageSize, Sample, Slot, Summary, TimeRange};

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("record.lua")));
static PAGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));

/// Lua counts in doubles: up to here exactly, and no list is longer.
const LARGEST_EXACT: u64 = 1 << 53;

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
    pub async fn record(&self, slot: Slot, sample: &Sample) -> Result<Recorded, StoreError> {
        let stored: RedisResult<bool> = RECORD
            .key(keys::PRICES)
            .arg(slot.start())
            .arg(slot.end())
            .arg(sample.timestamp)
            .arg(sample.member())
            .invoke_async(&mut self.connection.clone())
            .await;
        let stored = stored.map_err(failed("record a sample"))?;
        Ok(if stored { Recorded::Stored } else { Recorded::SlotTaken })
    }

    /// Sums up the samples of a range.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn summary(&self, range: &TimeRange) -> Result<Summary, StoreError> {
        let (since, until) = bounds(range);
        let rows: RedisResult<Vec<(String, f64)>> = redis::cmd("ZRANGEBYSCORE")
            .arg(keys::PRICES)
            .arg(since)
            .arg(until)
            .arg("WITHSCORES")
            .query_async(&mut self.connection.clone())
            .await;
        let mut summary = Summary::default();
        for sample in samples(rows.map_err(failed("read samples"))?) {
            summary.add(sample.price);
        }
        Ok(summary)
    }

    /// One page of the samples of a range, oldest first, or `None` past the end.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn page(
        &self,
        range: &TimeRange,
        page: PageNumber,
        size: PageSize,
    ) -> Result<Option<Page<Sample>>, StoreError> {
        let (since, until) = bounds(range);
        let wanted = match page {
            PageNumber::Number(number) => number.min(LARGEST_EXACT).to_string(),
            PageNumber::Last => "last".to_owned(),
        };
        let cut: RedisResult<(u64, Vec<(String, f64)>)> = PAGE
            .key(keys::PRICES)
            .arg(since)
            .arg(until)
            .arg(wanted)
            .arg(size.get())
            .invoke_async(&mut self.connection.clone())
            .await;
        let (count, rows) = cut.map_err(failed("read a page of samples"))?;
        Ok(page.locate(count, size).map(|(number, pages)| Page {
            count,
            number,
            pages,
            items: samples(rows).collect(),
        }))
    }

    /// The sample observed in the given unix second; of several (the old stack's) the last one.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn sample_at(&self, second: i64) -> Result<Option<Sample>, StoreError> {
        let rows: RedisResult<Vec<(String, f64)>> = redis::cmd("ZREVRANGEBYSCORE")
            .arg(keys::PRICES)
            .arg(format!("({}", second.saturating_add(1)))
            .arg(second)
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(1)
            .query_async(&mut self.connection.clone())
            .await;
        Ok(samples(rows.map_err(failed("read a sample"))?).next())
    }
}

/// The ends of a range as scores of a ZSET, both inclusive.
fn bounds(range: &TimeRange) -> (String, String) {
    (
        range.since().map_or_else(|| "-inf".to_owned(), |time| time.to_string()),
        range.until().map_or_else(|| "+inf".to_owned(), |time| time.to_string()),
    )
}

/// The samples in rows of member and score. A member that is none, put there by hand, is
/// reported and passed over: it must not take the others from the reader.
fn samples(rows: Vec<(String, f64)>) -> impl Iterator<Item = Sample> {
    rows.into_iter().filter_map(|(member, score)| {
        Sample::from_member(&member, score)
            .inspect_err(|error| tracing::warn!(%error, score, "passed over a stored member"))
            .ok()
    })
}
