//! The ledger: why slots were missed, how much of a range is covered, where the gaps are.
//!
//! A slot's reason is told by whoever noticed it. Gaps, the stretches between recorded slots, are
//! kept with the samples, in the same step. What is a gap but has no reason was not scheduled.

use std::{sync::LazyLock, time::Duration};

use redis::{Pipeline, RedisResult, Script, pipe};
use tokio::time::timeout;

use super::{
    Store, StoreError, failed, keys,
    rollups::{Frame, NOTHING_TRIMMED, TRIM, align_down, align_up},
    samples::{Rows, first_second},
    span::Span,
};
use crate::domain::{
    Coverage, Gap, Missed, Page, PageNumber, PageSize, Reason, TimeRange, UnixTime,
};

static MISS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("miss.lua")));

/// How long a question for gaps waits for a rebuild of the index.
const REBUILD_PATIENCE: Duration = Duration::from_secs(2);

/// The slots of a range that count: `[from, until)`, and the one that is still open.
struct Window {
    from: i64,
    until: i64,
    open: i64,
}

impl Store {
    /// Notes why slots, given by their first seconds, were missed. A slot that has a sample is not
    /// missed; the first reason that is told stays.
    ///
    /// # Errors
    /// If Redis fails; telling it again is safe.
    pub async fn miss(&self, slots: &[i64], reason: Reason) -> Result<(), StoreError> {
        let position = Reason::ALL.iter().position(|known| *known == reason).unwrap_or_default();
        let mut step = MISS.key(keys::PRICES);
        step.key(&keys::MISSED[..]).arg(self.slots.length().as_secs()).arg(position + 1).arg(slots);
        let noted: RedisResult<u64> = step.invoke_async(&mut self.connection.clone()).await;
        noted.map_err(failed("note why slots were missed")).map(|_| ())
    }

    /// How much of a range was recorded, as of the unix second `now`. O(log n).
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn coverage(&self, range: &TimeRange, now: i64) -> Result<Coverage, StoreError> {
        let Some(window) = self.window(range, now).await? else {
            return Ok(Coverage::default());
        };
        // The open slot apart: it is neither recorded for good nor missed.
        let closed = window.until.min(window.open);
        let mut recorded = 0;
        if window.from < closed {
            recorded =
                self.aggregate_span(Span::of_seconds(window.from, closed)).await?.summary.slots;
        }
        let told = self.told(&[(window.from, closed)]).await?;
        let told = told.first().copied().unwrap_or_default();
        let missed =
            Missed::of(self.slots_between(window.from, closed).saturating_sub(recorded), told);
        let (mut expected, mut pending) = (recorded + missed.total(), 0);
        if window.until > window.open {
            let open = Span::of_seconds(window.open, window.until);
            let taken = !self.rows(&open).await?.is_empty();
            expected += 1;
            recorded += u64::from(taken);
            pending = u64::from(!taken);
        }
        Ok(Coverage { expected, recorded, missed, pending })
    }

    /// One page of the gaps of a range, oldest first, as of the unix second `now`, or `None` past
    /// the end. A gap that begins or ends outside of the range is cut.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn gaps(
        &self,
        range: &TimeRange,
        now: i64,
        page: PageNumber,
        size: PageSize,
    ) -> Result<Option<Page<Gap>>, StoreError> {
        let Some(window) = self.window(range, now).await? else {
            return Ok(page.locate(0, size).map(|(number, pages)| Page::empty(number, pages)));
        };
        // Checks all samples against the index, gaps included, which is rebuilt where it is wrong;
        // a rebuild that takes longer than a client waits is left to the next request.
        self.aggregate(&TimeRange::default()).await?;
        let _rebuilt_or_not = timeout(REBUILD_PATIENCE, self.rebuilding.lock()).await.is_ok();
        let (first, stored, last) = self.gap_counts(&window).await?;
        let count = u64::from(first.is_some()) + stored + u64::from(last.is_some());
        let Some((number, pages)) = page.locate(count, size) else { return Ok(None) };
        let skipped = (number - 1) * size.get();
        let mut found: Vec<(i64, i64)> = Vec::new();
        if skipped == 0 {
            found.extend(first);
        }
        let wanted = size.get() - found.len() as u64;
        let offset = skipped.saturating_sub(u64::from(first.is_some()));
        found.extend(
            self.stored_gaps(&window, offset, wanted.min(stored.saturating_sub(offset))).await?,
        );
        if found.len() < usize::try_from(size.get()).unwrap_or(usize::MAX) && number == pages {
            found.extend(last);
        }
        let cut = |(from, until): (i64, i64)| (from.max(window.from), until.min(window.until));
        let found: Vec<(i64, i64)> = found.into_iter().map(cut).collect();
        let told = self.told(&found).await?;
        let gap = |((from, until), told): ((i64, i64), _)| Gap {
            from,
            until,
            missed: Missed::of(self.slots_between(from, until), told),
        };
        let items = found.into_iter().zip(told).map(gap).collect();
        Ok(Some(Page { count, number, pages, items }))
    }

    /// The gap that reaches into the window, how many begin in it, and the one after the last
    /// sample.
    #[allow(clippy::type_complexity, reason = "three small answers, taken apart at once")]
    async fn gap_counts(
        &self,
        window: &Window,
    ) -> Result<(Option<(i64, i64)>, u64, Option<(i64, i64)>), StoreError> {
        let mut looks = pipe();
        looks.cmd("ZREVRANGEBYSCORE").arg(keys::GAPS).arg(format!("({}", window.from)).arg("-inf");
        looks.arg("LIMIT").arg(0).arg(1);
        looks.cmd("ZCOUNT").arg(keys::GAPS).arg(window.from).arg(format!("({}", window.until));
        looks.cmd("ZRANGE").arg(keys::PRICES).arg(-1).arg(-1).arg("WITHSCORES");
        let answers: RedisResult<(Vec<String>, u64, Rows)> =
            looks.query_async(&mut self.connection.clone()).await;
        let (before, stored, newest) = answers.map_err(failed("look for gaps"))?;
        let first = before.first().and_then(|member| gap(member));
        let first = first.filter(|(_, until)| *until > window.from);
        let last = first_second(&newest).map(|second| {
            let end = self.slots.containing(second).end();
            (end.max(window.from), window.until.min(window.open))
        });
        Ok((first, stored, last.filter(|(from, until)| from < until)))
    }

    async fn stored_gaps(
        &self,
        window: &Window,
        offset: u64,
        count: u64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        // By rank, which is as quick at the end as at the beginning.
        let (since, until) = Span::before_second(window.from).bounds();
        let mut connection = self.connection.clone();
        let rank: RedisResult<u64> = redis::cmd("ZCOUNT")
            .arg(keys::GAPS)
            .arg(since)
            .arg(until)
            .query_async(&mut connection)
            .await;
        let first = rank.map_err(failed("count gaps"))? + offset;
        let members: RedisResult<Vec<String>> = redis::cmd("ZRANGE")
            .arg(keys::GAPS)
            .arg(first)
            .arg(first + count - 1)
            .query_async(&mut connection)
            .await;
        let members = members.map_err(failed("read gaps"))?;
        Ok(members.iter().filter_map(|member| gap(member)).collect())
    }

    /// How many slots of each stretch `[from, until)` were missed for each reason that was told.
    async fn told(&self, stretches: &[(i64, i64)]) -> Result<Vec<[u64; 7]>, StoreError> {
        if stretches.is_empty() {
            return Ok(Vec::new());
        }
        let mut counts = Pipeline::new();
        for (from, until) in stretches {
            for key in keys::MISSED {
                counts.cmd("ZCOUNT").arg(key).arg(from).arg(format!("({until}"));
            }
        }
        let counts: RedisResult<Vec<u64>> = counts.query_async(&mut self.connection.clone()).await;
        let counts = counts.map_err(failed("count missed slots"))?;
        Ok(counts.as_chunks().0.to_vec())
    }

    /// The part of a range that counts: whole slots, from the first one ever recorded up to the
    /// current one. `None` if there is nothing in it.
    async fn window(&self, range: &TimeRange, now: i64) -> Result<Option<Window>, StoreError> {
        let mut firsts = pipe();
        firsts.cmd("ZRANGE").arg(keys::PRICES).arg(0).arg(0).arg("WITHSCORES");
        firsts.cmd("HGET").arg(keys::ROLLUPS).arg(Frame::FIELD);
        let firsts: RedisResult<(Rows, Option<String>)> =
            firsts.query_async(&mut self.connection.clone()).await;
        let (sample, frame) = firsts.map_err(failed("find the first sample"))?;
        let frame = Frame::of(frame.as_deref());
        let trimmed = frame.trimmed;
        let first = match first_second(&sample) {
            Some(first) if frame.trimmed == NOTHING_TRIMMED => Some(first),
            // The first sample may have been trimmed: its bucket knows it.
            first => self.first_summed_up(frame).await?.into_iter().chain(first).min(),
        };
        let Some(first) = first else { return Ok(None) };
        let length = self.seconds();
        let open = self.slots.containing(now).start();
        let since = range.since().unwrap_or(UnixTime::MIN).second_at_or_after();
        let until = range.until().unwrap_or(UnixTime::MAX).second();
        let mut from = align_up(since, length).max(align_down(first, length));
        let mut until = align_down(until, length).min(open) + length;
        // Of what has been trimmed only whole buckets are known.
        if from < trimmed {
            from = align_down(from, TRIM).max(align_down(first, length));
            until = if until < trimmed { align_up(until, TRIM) } else { until };
        }
        Ok((from < until).then_some(Window { from, until, open }))
    }

    pub(super) fn seconds(&self) -> i64 {
        self.slots.length().as_secs().cast_signed()
    }

    fn slots_between(&self, from: i64, until: i64) -> u64 {
        ((until - from) / self.seconds()).max(0).unsigned_abs()
    }
}

/// Reads the member of a gap: its first second, and the first second after it.
fn gap(member: &str) -> Option<(i64, i64)> {
    let (from, until) = member.split_once(':')?;
    Some((from.parse().ok()?, until.parse().ok()?))
}
