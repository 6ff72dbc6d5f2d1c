//! One page of the samples of a range, by rank: O(log n + page), wherever it lies.

use std::sync::atomic::Ordering;

use redis::{FromRedisValue, RedisResult, Value, pipe};

use super::{
    Store, StoreError, failed, keys,
    samples::{own_samples, samples},
    span::Span,
};
use crate::domain::{Observation, Page, PageNumber, PageSize, Sample, TimeRange};

/// Where a range lies among all samples.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// How many samples there are before it.
    before: u64,
    /// How many there are in it.
    count: u64,
}

impl Place {
    /// The rank of the first sample of a page.
    fn rank(self, page: PageNumber, size: PageSize) -> u64 {
        let number = match page {
            PageNumber::Number(number) => number,
            PageNumber::Last => page.locate(self.count, size).map_or(1, |(number, _)| number),
        };
        // No list is longer than what Redis takes for a rank.
        let skipped = number.saturating_sub(1).saturating_mul(size.get());
        self.before.saturating_add(skipped).min(i64::MAX.unsigned_abs() - PageSize::MAX)
    }
}

impl Store {
    /// One page of the samples of a range, oldest first, or `None` past the end.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn page(
        &self,
        range: &TimeRange,
        page: PageNumber,
        size: PageSize,
    ) -> Result<Option<Page<Observation>>, StoreError> {
        // Where the range lies is guessed, and read along with the page. For all samples the guess
        // is wrong only where their last page has just begun.
        let mut place = Place { before: 0, count: self.samples.load(Ordering::Relaxed) };
        loop {
            let rank = place.rank(page, size);
            let read = self.read_page(range, rank, size).await;
            let (found, mut items) = read.map_err(failed("read a page of samples"))?;
            if range.since().is_none() && range.until().is_none() {
                self.samples.store(found.count, Ordering::Relaxed);
            }
            let Some((number, pages)) = page.locate(found.count, size) else { return Ok(None) };
            if found.rank(page, size) == rank {
                // What comes after the range is none of its.
                let left = found.before.saturating_add(found.count).saturating_sub(rank);
                items.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let items = self.with_remembered_provenance(items).await?;
                return Ok(Some(Page { count: found.count, number, pages, items }));
            }
            place = found;
        }
    }

    /// Where the range lies, and those of its samples that have the ranks from `first` on, in one
    /// step. Members tell their second themselves; Redis is slow to write scores, which are
    /// asked for only where a member does not, or not in the order of the scores.
    async fn read_page(
        &self,
        range: &TimeRange,
        first: u64,
        size: PageSize,
    ) -> RedisResult<(Place, Vec<Sample>)> {
        let (place, members) = self.read_ranks(range, first, size, &[]).await?;
        if let Some(items) = own_samples(&members)
            && items.is_sorted_by_key(|sample| sample.timestamp)
        {
            return Ok((place, items));
        }
        let (place, rows) = self.read_ranks(range, first, size, &["WITHSCORES"]).await?;
        Ok((place, samples(FromRedisValue::from_redis_value(rows)?).collect()))
    }

    /// Where the range lies, and what Redis gives for the ranks from `first` on.
    async fn read_ranks(
        &self,
        range: &TimeRange,
        first: u64,
        size: PageSize,
        scores: &[&str],
    ) -> RedisResult<(Place, Value)> {
        let (since, until) = Span::from(range).bounds();
        let mut step = pipe();
        step.atomic();
        match (range.since(), range.until()) {
            (None, None) => step.cmd("ZCARD").arg(keys::PRICES),
            _ => step.cmd("ZCOUNT").arg(keys::PRICES).arg(since).arg(until),
        };
        step.cmd("ZRANGE").arg(keys::PRICES).arg(first).arg(first + size.get() - 1).arg(scores);
        if let Some(since) = range.since() {
            step.cmd("ZCOUNT").arg(keys::PRICES).arg("-inf").arg(format!("({since}"));
        }
        let answers: Vec<Value> = step.query_async(&mut self.connection.clone()).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Int(0));
        let (count, members) = (u64::from_redis_value(next())?, next());
        let before = u64::from_redis_value(next())?;
        Ok((Place { before, count }, members))
    }
}
