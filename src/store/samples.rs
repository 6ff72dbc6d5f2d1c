//! The samples in `prices`: recording them, reading one, a page.

use std::sync::LazyLock;

use redis::{RedisResult, Script};

use super::{
    Store, StoreError, failed, keys,
    rollups::{LEVELS, Span},
};
use crate::domain::{Page, PageNumber, PageSize, Sample, TimeRange};

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
    pub async fn record(&self, sample: &Sample) -> Result<Recorded, StoreError> {
        let stored = self.record_all(std::slice::from_ref(sample)).await?;
        Ok(if stored == 1 { Recorded::Stored } else { Recorded::SlotTaken })
    }

    /// Records samples, each unless its slot has one, and the rollups with them, in one step.
    /// Gives how many were stored.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub async fn record_all(&self, samples: &[Sample]) -> Result<u64, StoreError> {
        let mut step = RECORD.key(keys::PRICES);
        step.key(keys::TRIMMED).key(&keys::ROLLUPS[..]);
        step.arg(self.slots.length().as_secs()).arg(&LEVELS[..]);
        for sample in samples {
            step.arg(sample.timestamp).arg(sample.member()).arg(sample.price.ten_thousandths());
        }
        let stored = step.invoke_async(&mut self.connection.clone()).await;
        stored.map_err(failed("record samples"))
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
        let (since, until) = Span::from(range).bounds();
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
        let rows = self.rows(&Span::of_seconds(second, second.saturating_add(1))).await?;
        Ok(samples(rows).last())
    }

    /// The members of `prices` in a span, each with its score, oldest first.
    pub(super) async fn rows(&self, span: &Span) -> Result<Vec<(String, f64)>, StoreError> {
        self.rows_of(keys::PRICES, span).await
    }

    /// The members of a ZSET in a span, each with its score, lowest first.
    pub(super) async fn rows_of(
        &self,
        key: &str,
        span: &Span,
    ) -> Result<Vec<(String, f64)>, StoreError> {
        let (since, until) = span.bounds();
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(key).arg(since).arg(until).arg("WITHSCORES");
        let rows = command.query_async(&mut self.connection.clone()).await;
        rows.map_err(failed("read samples"))
    }
}

/// The samples in rows of member and score, oldest first as they come. A member that is none, put there by hand, is
/// reported and passed over: it must not take the others from the reader.
pub(super) fn samples(rows: Vec<(String, f64)>) -> impl Iterator<Item = Sample> {
    rows.into_iter().filter_map(|(member, score)| {
        Sample::from_member(&member, score)
            .inspect_err(|error| tracing::warn!(%error, score, "passed over a stored member"))
            .ok()
    })
}
