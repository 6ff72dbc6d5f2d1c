//! Sums over any range of samples, read from the rollups and checked against the samples.

use std::{ops::Range, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use redis::{RedisResult, pipe};

use super::{
    Store, StoreError, failed, keys, node,
    plan::Plan,
    rollups::{self, End, Frame, LEVELS, NOTHING_TRIMMED, Span, TRIM, align_down},
    samples::{PIECE, Rows, first_second, samples},
};
use crate::domain::{Summary, TimeRange, UnixTime};

/// The sum over a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aggregate {
    /// What the samples come to.
    pub summary: Summary,
    /// Set where a part of the range was trimmed: that part is answered from its rollups, its
    /// ends rounded outwards to whole multiples of this.
    pub resolution: Option<Duration>,
}

impl Store {
    /// Sums up the samples of a range. O(log n), whatever the range.
    ///
    /// Where the rollups do not have as many samples as there are (samples of the old stack, a key
    /// restored or edited by hand), the samples themselves are read, so the answer is right, and
    /// the rollups of that stretch are rebuilt in the background.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn aggregate(&self, range: &TimeRange) -> Result<Aggregate, StoreError> {
        self.aggregate_span(Span::from(range)).await
    }

    /// As [`Store::aggregate`].
    pub(super) async fn aggregate_span(&self, span: Span) -> Result<Aggregate, StoreError> {
        let (plan, reading) = loop {
            // The frame changes rarely: it is guessed, and read along with the rest.
            let guess = self.frame();
            let plan = Plan::new(span, guess);
            let reading = self.read(&plan).await.map_err(failed("sum up samples"))?;
            if reading.frame == guess {
                break (plan, reading);
            }
            self.note_frame(reading.frame);
        };
        let kept = match plan.kept {
            Some(span) if reading.samples != reading.kept.count => {
                let mut wrong = Vec::new();
                let summary = self.sum_up_wrong(span, &mut wrong).await?;
                self.rebuild_soon(wrong);
                summary
            }
            _ => reading.kept,
        };
        let resolution =
            (!plan.trimmed.is_empty()).then(|| Duration::from_secs(TRIM.unsigned_abs()));
        Ok(Aggregate { summary: reading.trimmed.and(kept), resolution })
    }

    /// Sums up a span whose rollups are wrong somewhere, by halves down to a day: what is right
    /// is taken from the rollups, what is wrong from the samples and noted in `wrong`, in seconds
    /// `[from, until)`.
    fn sum_up_wrong<'a>(
        &'a self,
        span: Span,
        wrong: &'a mut Vec<(i64, i64)>,
    ) -> BoxFuture<'a, Result<Summary, StoreError>> {
        async move {
            // Its own ends, not those of its samples: a bucket may lie where no sample is left.
            let stretch = (span.since.unwrap_or(UnixTime::MIN).second(), span.end_second());
            let (first, last) = match self.extent(&span).await? {
                Some((first, last)) if last - first > PIECE => (first, last),
                _ => {
                    wrong.push(stretch);
                    let rows = self.rows(&span).await?;
                    return Ok(Summary::of(samples(rows), self.slots));
                }
            };
            let middle = UnixTime::from_seconds(align_down(first.midpoint(last), LEVELS[0]));
            let halves = [
                Span { until: Some(middle), end: End::Exclusive, ..span },
                Span { since: Some(middle), ..span },
            ];
            let frame = Frame { trimmed: NOTHING_TRIMMED, ..self.frame() };
            let mut whole = Summary::default();
            for half in halves {
                let plan = Plan::new(half, frame);
                let reading = self.read(&plan).await.map_err(failed("sum up samples"))?;
                let right = reading.samples == reading.kept.count;
                whole = whole.and(if right {
                    reading.kept
                } else {
                    self.sum_up_wrong(half, wrong).await?
                });
            }
            Ok(whole)
        }
        .boxed()
    }

    /// The nodes of a level that have buckets in a stretch, each with its first second; empty
    /// where there is none.
    pub(super) async fn nodes(
        &self,
        level: usize,
        stretch: Range<i64>,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        let starts: Vec<i64> = rollups::nodes(level, stretch.start, stretch.end).collect();
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = redis::cmd("HMGET");
        read.arg(keys::ROLLUPS);
        for &start in &starts {
            read.arg(rollups::field(level, start));
        }
        let read: RedisResult<Vec<Option<Vec<u8>>>> =
            read.query_async(&mut self.connection.clone()).await;
        let nodes =
            read.map_err(failed("read rollups"))?.into_iter().map(Option::unwrap_or_default);
        Ok(starts.into_iter().zip(nodes).collect())
    }

    /// The second of the first sample that is in the rollups.
    pub(super) async fn first_summed_up(&self, frame: Frame) -> Result<Option<i64>, StoreError> {
        let coarsest = LEVELS.len() - 1;
        let nodes = self.nodes(coarsest, frame.first..frame.last).await?;
        let first = |(start, node): &(i64, Vec<u8>)| {
            let extremes = node::from_bytes(coarsest, *start, node, frame.first..frame.last)
                .find_map(|summary| summary.extremes);
            Some(extremes?.first.0)
        };
        Ok(nodes.iter().find_map(first))
    }

    /// The seconds of the first and the last sample in the span.
    pub(super) async fn extent(&self, span: &Span) -> Result<Option<(i64, i64)>, StoreError> {
        let (since, until) = span.bounds();
        let mut both = pipe();
        for (command, from, to) in
            [("ZRANGEBYSCORE", &since, &until), ("ZREVRANGEBYSCORE", &until, &since)]
        {
            both.cmd(command).arg(keys::PRICES).arg(from).arg(to);
            both.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let ends: RedisResult<[Rows; 2]> = both.query_async(&mut self.connection.clone()).await;
        let [first, last] = ends.map_err(failed("find the first and last sample"))?;
        Ok(first_second(&first).zip(first_second(&last)))
    }
}
