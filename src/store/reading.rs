//! Reading a plan in one step, and summing it up.

use std::{ops::Range, sync::Arc};

use redis::{FromRedisValue, RedisResult, Value};

use super::{
    Store,
    node::{self, Node},
    plan::{Plan, Scores},
    rollups::{self, Frame},
    samples::{Rows, own_samples, samples},
    segments::{Segment, Wanted},
};
use crate::domain::{Sample, Summary, Total};

/// What was read of a plan.
#[derive(Default)]
pub(super) struct Reading {
    /// What the rollups of the trimmed part come to.
    pub(super) trimmed: Summary,
    /// What the rollups of the rest, and the samples at its edges, come to.
    pub(super) kept: Summary,
    /// What of that lies beside the range.
    pub(super) beside: Total,
    /// How many samples there are in the rest in truth.
    pub(super) samples: u64,
    /// What is known of all rollups.
    pub(super) frame: Frame,
    /// The sums of nodes that may be remembered.
    pub(super) sums: Vec<((usize, i64), Vec<u8>)>,
}

/// What Redis answered, in the order in which it was asked, and what is known besides.
struct Answers {
    count: u64,
    frame: Frame,
    /// Those of the segments of samples.
    samples: std::vec::IntoIter<Value>,
    scores: Scores,
    /// Those of the nodes that are not known.
    nodes: std::vec::IntoIter<Value>,
    known: std::vec::IntoIter<Option<Arc<[u8]>>>,
    /// See [`Reading::sums`].
    sums: Vec<((usize, i64), Vec<u8>)>,
}

impl Reading {
    /// Whether the rollups of the rest have as many samples as there are.
    pub(super) fn is_right(&self) -> bool {
        self.kept.total().without(self.beside).count == self.samples
    }

    /// Whether the plan was made for rollups as they were read.
    pub(super) fn fits(&self, plan: &Plan) -> bool {
        let changed = if plan.knows_nothing() { self.frame.changed } else { plan.frame.changed };
        self.frame == Frame { changed, ..plan.frame }
    }
}

impl Answers {
    fn of(mut answers: Vec<Value>, plan: &Plan, scores: Scores) -> RedisResult<Self> {
        let nodes = answers.pop().unwrap_or(Value::Nil);
        let mut nodes = Vec::<Value>::from_redis_value(nodes)?.into_iter();
        let frame = Option::<String>::from_redis_value(nodes.next().unwrap_or(Value::Nil))?;
        let frame = Frame::of(frame.as_deref());
        let mut samples = answers.into_iter();
        let count = u64::from_redis_value(samples.next().unwrap_or(Value::Nil))?;
        let known = plan.known.clone().into_iter();
        Ok(Self { count, frame, samples, scores, nodes, known, sums: Vec::new() })
    }

    /// The next samples; `None` if one of them does not tell its second.
    fn samples(&mut self) -> RedisResult<Option<Vec<Sample>>> {
        let rows = self.samples.next().unwrap_or(Value::Nil);
        if self.scores == Scores::With {
            return Ok(Some(samples(Rows::from_redis_value(rows)?).collect()));
        }
        Ok(own_samples(&rows))
    }

    /// A part of the next node.
    fn part(&mut self) -> Vec<u8> {
        match self.nodes.next() {
            Some(Value::BulkString(bytes)) => bytes,
            _ => Vec::new(),
        }
    }

    /// What the next node comes to, of a level and from a second on, in `within`.
    fn total(&mut self, level: usize, start: i64, within: Range<i64>) -> Total {
        if let Some(Some(sums)) = self.known.next() {
            return node::total(level, start, &sums, within);
        }
        let sums = self.part();
        let total = node::total(level, start, &sums, within);
        if level > 0 {
            self.sums.push(((level, start), sums));
        }
        total
    }

    /// What the buckets of a level come to that start in `within`.
    fn buckets(&mut self, level: usize, within: &Range<i64>, wanted: Wanted) -> Summary {
        let mut sum = Summary::default();
        for start in rollups::nodes(level, within.start, within.end) {
            sum = match wanted {
                Wanted::Total => sum.and(self.total(level, start, within.clone()).into()),
                Wanted::Summary => {
                    let node = Node { sums: self.part(), extremes: self.part() };
                    let buckets = node::summaries(level, start, &node, within.clone());
                    buckets.fold(sum, |sum, (_, bucket)| sum.and(bucket))
                }
            };
        }
        sum
    }
}

impl Store {
    /// Reads all of a plan in one step. Members tell their second themselves; their scores, which
    /// are half of what would have to be sent, are asked for only where the old stack wrote some.
    pub(super) async fn read(&self, plan: &Plan) -> RedisResult<Reading> {
        match self.read_with(plan, Scores::Without).await? {
            Some(reading) => Ok(reading),
            None => Ok(self.read_with(plan, Scores::With).await?.unwrap_or_default()),
        }
    }

    /// `None` if there is a sample that does not tell its second.
    async fn read_with(&self, plan: &Plan, scores: Scores) -> RedisResult<Option<Reading>> {
        let request = plan.request(scores);
        let answers = request.query_async(&mut self.connection.clone()).await?;
        let mut answers = Answers::of(answers, plan, scores)?;
        let trimmed = self.sum_of(&plan.trimmed, plan.wanted, &mut answers)?;
        let kept = self.sum_of(&plan.segments, plan.wanted, &mut answers)?;
        let Some(((trimmed, _), (kept, beside))) = trimmed.zip(kept) else { return Ok(None) };
        let Answers { count: samples, frame, sums, .. } = answers;
        Ok(Some(Reading { trimmed, kept, beside, samples, frame, sums }))
    }

    /// What segments come to, and those beside the span.
    fn sum_of(
        &self,
        segments: &[Segment],
        wanted: Wanted,
        answers: &mut Answers,
    ) -> RedisResult<Option<(Summary, Total)>> {
        let (mut sum, mut beside) = (Summary::default(), Total::default());
        for segment in segments {
            match segment {
                Segment::Samples(_) => {
                    let Some(samples) = answers.samples()? else { return Ok(None) };
                    sum = sum.and(match wanted {
                        Wanted::Summary => Summary::of(samples, self.slots),
                        Wanted::Total => Total::of(samples).into(),
                    });
                }
                Segment::Beside(_) => {
                    let Some(samples) = answers.samples()? else { return Ok(None) };
                    beside = beside.and(Total::of(samples));
                }
                &Segment::Buckets { level, from, until } => {
                    sum = sum.and(answers.buckets(level, &(from..until), wanted));
                }
            }
        }
        Ok(Some((sum, beside)))
    }
}
