//! Sums over any range of samples, read from the rollups and checked against the samples.

use std::{mem, ops::Range, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use redis::{RedisResult, pipe};

use super::{
    Store, StoreError, failed, keys,
    node::{self, Node},
    plan::Plan,
    rollups::{self, Field, Frame, LEVELS, NOTHING_TRIMMED, TRIM, align_down},
    samples::{PIECE, Rows, first_second, samples},
    segments::Wanted,
    span::{Cut, Span},
};
use crate::domain::{Summary, TimeRange, Total};

/// What the samples of a range come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aggregate<T = Summary> {
    /// What they come to.
    pub summary: T,
    /// Set where a part of the range was trimmed: that part is answered from its rollups, its
    /// ends rounded outwards to whole multiples of this.
    pub resolution: Option<Duration>,
}

impl Store {
    /// Sums up the samples of a range. O(log n), whatever the range.
    ///
    /// Where the rollups do not have as many samples as there are (samples of the old stack, a key
    /// restored by hand), the samples themselves are read, so the answer is right, and the rollups
    /// of that stretch are rebuilt in the background. Samples exchanged for as many others, by
    /// hand or by an old stack that still runs, go unnoticed, and so does what happens to rollups
    /// of samples that have been trimmed.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn aggregate(&self, range: &TimeRange) -> Result<Aggregate, StoreError> {
        self.aggregate_span(Span::from(range)).await
    }

    /// Adds up the prices of a range, which takes half as many samples as [`Store::aggregate`].
    ///
    /// # Errors
    /// As [`Store::aggregate`].
    pub async fn total(&self, range: &TimeRange) -> Result<Aggregate<Total>, StoreError> {
        let Aggregate { summary: (summary, beside), resolution } =
            self.sum_up(Span::from(range), Wanted::Total).await?;
        Ok(Aggregate { summary: summary.total().without(beside), resolution })
    }

    /// As [`Store::aggregate`].
    pub(super) async fn aggregate_span(&self, span: Span) -> Result<Aggregate, StoreError> {
        let Aggregate { summary: (summary, _), resolution } =
            self.sum_up(span, Wanted::Summary).await?;
        Ok(Aggregate { summary, resolution })
    }

    /// Sums up a span, and what of that lies beside it.
    async fn sum_up(
        &self,
        span: Span,
        wanted: Wanted,
    ) -> Result<Aggregate<(Summary, Total)>, StoreError> {
        // The frame is guessed, and read along with the rest; what is known under it need not be
        // read. Where it changes all the time, the second look does without what is known.
        let mut is_first = true;
        let (plan, reading) = loop {
            let plan = {
                let known = self.known();
                let plan = Plan::new(span, wanted, known.frame());
                if is_first { plan.knowing(&known) } else { plan }
            };
            let mut reading = self.read(&plan).await.map_err(failed("sum up samples"))?;
            self.known().note(reading.frame, mem::take(&mut reading.sums));
            if reading.fits(&plan) {
                break (plan, reading);
            }
            is_first = false;
        };
        let (kept, beside) = match plan.kept {
            Some(span) if !reading.is_right() => {
                let mut wrong = Vec::new();
                let summary = self.sum_up_wrong(span, &mut wrong).await?;
                self.rebuild_soon(wrong);
                (summary, Total::default())
            }
            _ => (reading.kept, reading.beside),
        };
        let resolution =
            (!plan.trimmed.is_empty()).then(|| Duration::from_secs(TRIM.unsigned_abs()));
        Ok(Aggregate { summary: (reading.trimmed.and(kept), beside), resolution })
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
            let stretch = (span.start().second(), span.end().second_at_or_after());
            let (first, last) = match self.extent(&span).await? {
                Some((first, last)) if last.saturating_sub(first) > PIECE => (first, last),
                _ => {
                    wrong.push(stretch);
                    let rows = self.rows(&span).await?;
                    return Ok(Summary::of(samples(rows), self.slots));
                }
            };
            let middle = Some(Cut::before_second(align_down(first.midpoint(last), LEVELS[0])));
            let halves = [Span { until: middle, ..span }, Span { since: middle, ..span }];
            let (mut whole, noted) = (Summary::default(), wrong.len());
            for half in halves {
                whole = whole.and(match self.right_sum(half).await? {
                    Some(summary) => summary,
                    None => self.sum_up_wrong(half, wrong).await?,
                });
            }
            // Where both halves are right, it is a bucket that the middle cuts in two, unless it
            // has been repaired meanwhile.
            if wrong.len() == noted && self.right_sum(span).await?.is_none() {
                wrong.push(stretch);
            }
            Ok(whole)
        }
        .boxed()
    }

    /// What the rollups make of a span of samples that are there, if they have all of them.
    async fn right_sum(&self, span: Span) -> Result<Option<Summary>, StoreError> {
        let frame = Frame { trimmed: NOTHING_TRIMMED, ..self.known().frame() };
        let plan = Plan::new(span, Wanted::Summary, frame);
        let reading = self.read(&plan).await.map_err(failed("sum up samples"))?;
        Ok(reading.is_right().then_some(reading.kept))
    }

    /// The nodes of a level that have buckets in a stretch, each with its first second; empty
    /// where there is none.
    pub(super) async fn nodes(
        &self,
        level: usize,
        stretch: Range<i64>,
    ) -> Result<Vec<(i64, Node)>, StoreError> {
        let starts: Vec<i64> = rollups::nodes(level, stretch.start, stretch.end).collect();
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = redis::cmd("HMGET");
        read.arg(keys::ROLLUPS);
        for &start in &starts {
            read.arg(&Field::of_node(level, start));
        }
        let read: RedisResult<Vec<Option<Vec<u8>>>> =
            read.query_async(&mut self.connection.clone()).await;
        let mut fields = read.map_err(failed("read rollups"))?.into_iter();
        let mut field = || fields.next().flatten().unwrap_or_default();
        let node = |start| (start, Node { sums: field(), extremes: field() });
        Ok(starts.into_iter().map(node).collect())
    }

    /// The second of the first sample that is in the rollups.
    pub(super) async fn first_summed_up(&self, frame: Frame) -> Result<Option<i64>, StoreError> {
        let coarsest = LEVELS.len() - 1;
        let nodes = self.nodes(coarsest, frame.first..frame.last).await?;
        let first = |(start, node): &(i64, Node)| {
            let within = frame.first..frame.last;
            let (_, summary) = node::summaries(coarsest, *start, node, within).next()?;
            Some(summary.extremes?.first.0)
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
