//! What is read to sum up a span, and reading it in one step.

use std::ops::Range;

use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};

use super::{
    Store, keys,
    node::{self, Node},
    rollups::{self, Field, Frame, TRIM, align_down, align_up},
    samples::{Rows, samples},
    segments::{Segment, Wanted, cover, segments},
    span::{Cut, Span},
};
use crate::domain::{Sample, Summary, Total};

/// A range, split at the second before which samples have been trimmed.
pub(super) struct Plan {
    /// The segments of the trimmed part: buckets only.
    pub(super) trimmed: Vec<Segment>,
    /// The part that has its samples.
    pub(super) kept: Option<Span>,
    /// Its segments.
    segments: Vec<Segment>,
    wanted: Wanted,
}

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
}

/// The room that most plans need, so that it need not grow: commands; the arguments and the bytes of
/// a command about samples, and of that about nodes.
const COMMANDS: usize = 4;
const SHORT: (usize, usize) = (5, 64);
const LONG: (usize, usize) = (16, 256);

/// Whether samples are read with their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scores {
    With,
    Without,
}

/// What Redis answered, in the order in which it was asked.
struct Answers {
    count: u64,
    frame: Frame,
    /// Those of the segments of samples.
    samples: std::vec::IntoIter<Value>,
    /// The nodes of the segments of buckets.
    nodes: std::vec::IntoIter<Value>,
}

impl Plan {
    pub(super) fn new(span: Span, wanted: Wanted, frame: Frame) -> Self {
        let since = span.start().second();
        let in_frame = |segments: Vec<Segment>| -> Vec<Segment> {
            segments.into_iter().filter_map(|segment| segment.within(frame)).collect()
        };
        if since >= frame.trimmed {
            let segments = in_frame(segments(&span, wanted));
            return Self { trimmed: Vec::new(), kept: Some(span), segments, wanted };
        }
        let until = span.end().second_at_or_after();
        let mut buckets = Vec::new();
        let end = frame.trimmed.min(align_up(until, TRIM));
        cover(0, align_down(since, TRIM), end, &mut buckets);
        let rest = Span { since: Some(Cut::before_second(frame.trimmed)), ..span };
        let kept = (until > frame.trimmed).then_some(rest);
        let segments = kept.map(|rest| in_frame(segments(&rest, wanted))).unwrap_or_default();
        Self { trimmed: in_frame(buckets), kept, segments, wanted }
    }

    /// What is asked of Redis: how many samples there are, those at the edges, and all nodes.
    fn request(&self, scores: Scores) -> Pipeline {
        let mut step = Pipeline::with_capacity(COMMANDS);
        step.atomic();
        let mut about_samples = |name, span: &Span, scores| {
            let (since, until) = span.bounds();
            let mut command = Cmd::with_capacity(SHORT.0, SHORT.1);
            command.arg(name).arg(keys::PRICES).arg(since).arg(until).arg(scores);
            step.add_command(command);
        };
        about_samples("ZCOUNT", &self.kept.unwrap_or(Span::NOTHING), None);
        let mut nodes = Cmd::with_capacity(LONG.0, LONG.1);
        nodes.arg("HMGET").arg(keys::ROLLUPS).arg(&Frame::FIELDS);
        for segment in self.trimmed.iter().chain(&self.segments) {
            match segment {
                Segment::Samples(span) | Segment::Beside(span) => {
                    let scores = (scores == Scores::With).then_some("WITHSCORES");
                    about_samples("ZRANGEBYSCORE", span, scores);
                }
                &Segment::Buckets { level, from, until } => {
                    for start in rollups::nodes(level, from, until) {
                        let [sums, extremes] = Field::of_node(level, start);
                        nodes.arg(sums).arg((self.wanted == Wanted::Summary).then_some(extremes));
                    }
                }
            }
        }
        step.add_command(nodes);
        step
    }
}

impl Reading {
    /// Whether the rollups of the rest have as many samples as there are.
    pub(super) fn is_right(&self) -> bool {
        self.kept.total().without(self.beside).count == self.samples
    }
}

impl Answers {
    fn of(mut answers: Vec<Value>) -> RedisResult<Self> {
        let nodes = answers.pop().unwrap_or(Value::Nil);
        let mut nodes = Vec::<Value>::from_redis_value(nodes)?.into_iter();
        let mut field = || Option::from_redis_value(nodes.next().unwrap_or(Value::Nil));
        let frame = Frame::of([field()?, field()?, field()?]);
        let mut samples = answers.into_iter();
        let count = u64::from_redis_value(samples.next().unwrap_or(Value::Nil))?;
        Ok(Self { count, frame, samples, nodes })
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
        let mut answers = Answers::of(request.query_async(&mut self.connection.clone()).await?)?;
        let Some((trimmed, _)) = self.sum_of(&plan.trimmed, plan.wanted, &mut answers, scores)?
        else {
            return Ok(None);
        };
        let Some((kept, beside)) =
            self.sum_of(&plan.segments, plan.wanted, &mut answers, scores)?
        else {
            return Ok(None);
        };
        let Answers { count: samples, frame, .. } = answers;
        Ok(Some(Reading { trimmed, kept, beside, samples, frame }))
    }

    /// What segments come to, and those beside the span.
    fn sum_of(
        &self,
        segments: &[Segment],
        wanted: Wanted,
        answers: &mut Answers,
        scores: Scores,
    ) -> RedisResult<Option<(Summary, Total)>> {
        let (mut sum, mut beside) = (Summary::default(), Total::default());
        for segment in segments {
            match segment {
                Segment::Samples(_) => {
                    let Some(samples) = samples_of(answers, scores)? else { return Ok(None) };
                    sum = sum.and(match wanted {
                        Wanted::Summary => Summary::of(samples, self.slots),
                        Wanted::Total => Total::of(samples).into(),
                    });
                }
                Segment::Beside(_) => {
                    let Some(samples) = samples_of(answers, scores)? else { return Ok(None) };
                    beside = beside.and(Total::of(samples));
                }
                &Segment::Buckets { level, from, until } => {
                    sum = sum.and(sum_of_nodes(level, from..until, wanted, &mut answers.nodes));
                }
            }
        }
        Ok(Some((sum, beside)))
    }
}

/// The next samples; `None` if one of them does not tell its second.
fn samples_of(answers: &mut Answers, scores: Scores) -> RedisResult<Option<Vec<Sample>>> {
    let rows = answers.samples.next().unwrap_or(Value::Nil);
    if scores == Scores::With {
        return Ok(Some(samples(Rows::from_redis_value(rows)?).collect()));
    }
    let Value::Array(members) = rows else { return Ok(None) };
    let own = |member: &Value| match member {
        Value::BulkString(member) => Sample::from_own_member(str::from_utf8(member).ok()?),
        _ => None,
    };
    Ok(members.iter().map(own).collect())
}

/// What the buckets of a level come to that start in `within`.
fn sum_of_nodes(
    level: usize,
    within: Range<i64>,
    wanted: Wanted,
    nodes: &mut std::vec::IntoIter<Value>,
) -> Summary {
    let mut field = || match nodes.next() {
        Some(Value::BulkString(bytes)) => bytes,
        _ => Vec::new(),
    };
    let mut sum = Summary::default();
    for start in rollups::nodes(level, within.start, within.end) {
        let sums = field();
        sum = match wanted {
            Wanted::Total => sum.and(node::total(level, start, &sums, within.clone()).into()),
            Wanted::Summary => {
                let node = Node { sums, extremes: field() };
                node::summaries(level, start, &node, within.clone())
                    .fold(sum, |sum, (_, bucket)| sum.and(bucket))
            }
        };
    }
    sum
}
