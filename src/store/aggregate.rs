//! Sums over any range of samples, read from the rollups and checked against the samples.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use redis::{FromRedisValue, Pipeline, RedisResult, Value, pipe};

use super::{
    Store, StoreError, failed, keys, node,
    rollups::{self, End, LEVELS, Segment, Span, TRIM, align_down, align_up, node_length},
    samples::{PIECE, Rows, first_second, samples},
};
use crate::domain::{Sample, Summary, TimeRange, UnixTime};

/// The second before which samples have been trimmed, where none have.
pub(super) const NOTHING_TRIMMED: i64 = i64::MIN;

/// The sum over a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aggregate {
    /// What the samples come to.
    pub summary: Summary,
    /// Set where a part of the range was trimmed: that part is answered from its rollups, its
    /// ends rounded outwards to whole multiples of this.
    pub resolution: Option<Duration>,
}

/// A range, split at the second before which samples have been trimmed.
struct Plan {
    /// The segments of the trimmed part: buckets only.
    trimmed: Vec<Segment>,
    /// The part that has its samples, and its segments.
    kept: Option<(Span, Vec<Segment>)>,
}

/// What was read of a span, all in one step.
#[derive(Default)]
struct Reading {
    /// What the rollups and the samples at the edges come to.
    trimmed: Summary,
    kept: Summary,
    /// How many samples there are in truth in the part that was not trimmed.
    samples: u64,
    /// The second before which samples have been trimmed.
    trimmed_before: i64,
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
            // What was trimmed changes rarely: it is guessed, and read along with the rest.
            let guess = self.trimmed_before.load(Ordering::Relaxed);
            let plan = Plan::new(span, guess);
            let reading = self.read(&plan).await.map_err(failed("sum up samples"))?;
            if reading.trimmed_before == guess {
                break (plan, reading);
            }
            self.trimmed_before.store(reading.trimmed_before, Ordering::Relaxed);
        };
        let kept = match plan.kept {
            Some((span, _)) if reading.samples != reading.kept.count => {
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
            let stretch = (
                span.since.unwrap_or(UnixTime::MIN).second(),
                span.until.unwrap_or(UnixTime::MAX).second() + 1,
            );
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
            let mut whole = Summary::default();
            for half in halves {
                let plan = Plan::new(half, NOTHING_TRIMMED);
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

    /// Reads all of a plan in one step. Members tell their second themselves; their scores, which
    /// are half of what would have to be sent, are asked for only where the old stack wrote some.
    async fn read(&self, plan: &Plan) -> RedisResult<Reading> {
        match self.read_with(plan, Scores::Without).await? {
            Some(reading) => Ok(reading),
            None => Ok(self.read_with(plan, Scores::With).await?.unwrap_or_default()),
        }
    }

    /// `None` if there is a sample that does not tell its second.
    async fn read_with(&self, plan: &Plan, scores: Scores) -> RedisResult<Option<Reading>> {
        let mut step = pipe();
        step.atomic().get(keys::TRIMMED);
        let nothing = (String::from("+inf"), String::from("-inf"));
        let (since, until) = plan.kept.as_ref().map_or(nothing, |(span, _)| span.bounds());
        step.cmd("ZCOUNT").arg(keys::PRICES).arg(since).arg(until);
        let kept = plan.kept.as_ref().map_or(&[][..], |(_, segments)| segments);
        for segment in plan.trimmed.iter().chain(kept) {
            request(&mut step, segment, scores);
        }
        let answers: Vec<Value> = step.query_async(&mut self.connection.clone()).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let trimmed_before = Option::<i64>::from_redis_value(next())?.unwrap_or(NOTHING_TRIMMED);
        let samples = u64::from_redis_value(next())?;
        let mut sum_up = |segments: &[Segment]| -> RedisResult<Option<Summary>> {
            let mut sum = Summary::default();
            for (segment, answer) in segments.iter().zip(answers.by_ref()) {
                let Some(part) = self.sum_of(segment, answer, scores)? else { return Ok(None) };
                sum = sum.and(part);
            }
            Ok(Some(sum))
        };
        let (trimmed, kept) = (sum_up(&plan.trimmed)?, sum_up(kept)?);
        let reading = |(trimmed, kept)| Reading { trimmed, kept, samples, trimmed_before };
        Ok(trimmed.zip(kept).map(reading))
    }

    fn sum_of(
        &self,
        segment: &Segment,
        answer: Value,
        scores: Scores,
    ) -> RedisResult<Option<Summary>> {
        if scores == Scores::With && matches!(segment, Segment::Samples(_)) {
            let rows = Vec::<(Vec<u8>, f64)>::from_redis_value(answer)?;
            return Ok(Some(Summary::of(samples(rows), self.slots)));
        }
        let Value::Array(members) = answer else { return Ok(None) };
        let members = members.iter().map(|member| match member {
            Value::BulkString(bytes) => bytes.as_slice(),
            _ => &[],
        });
        let Segment::Buckets { level, from, until } = segment else {
            let own = |member| Sample::from_own_member(std::str::from_utf8(member).ok()?);
            let samples: Option<Vec<Sample>> = members.map(own).collect();
            return Ok(samples.map(|samples| Summary::of(samples, self.slots)));
        };
        let buckets = members.flat_map(|member| node::from_member(*level, member));
        let inside = buckets.filter(|(start, _)| (from..until).contains(&start));
        Ok(Some(inside.map(|(_, summary)| summary).collect()))
    }
}

/// Whether samples are read with their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scores {
    With,
    Without,
}

fn request(step: &mut Pipeline, segment: &Segment, scores: Scores) {
    match segment {
        Segment::Samples(span) => {
            let (since, until) = span.bounds();
            step.cmd("ZRANGEBYSCORE").arg(keys::PRICES).arg(since).arg(until);
            if scores == Scores::With {
                step.arg("WITHSCORES");
            }
        }
        Segment::Buckets { level, from, until } => {
            let key = keys::ROLLUPS.get(*level).copied().unwrap_or_default();
            // All nodes that have buckets of the segment.
            let first = align_down(*from, node_length(*level));
            step.cmd("ZRANGEBYSCORE").arg(key).arg(first).arg(format!("({until}"));
        }
    }
}

impl Plan {
    fn new(span: Span, trimmed: i64) -> Self {
        let since = span.since.unwrap_or(UnixTime::MIN).second();
        // The first second after the span.
        let until =
            span.until.unwrap_or(UnixTime::MAX).second() + i64::from(span.end == End::Inclusive);
        if since >= trimmed {
            return Self { trimmed: Vec::new(), kept: Some((span, span.segments())) };
        }
        let mut buckets = Vec::new();
        let end = trimmed.min(align_up(until, TRIM));
        rollups::cover(0, align_down(since, TRIM), end, &mut buckets);
        let rest = Span { since: Some(UnixTime::from_seconds(trimmed)), ..span };
        let kept = (until > trimmed).then(|| (rest, rest.segments()));
        Self { trimmed: buckets, kept }
    }
}
