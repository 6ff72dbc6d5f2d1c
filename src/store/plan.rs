//! What is read to sum up a span.

use std::sync::Arc;

use redis::{Cmd, Pipeline};

use super::{
    keys,
    known::Known,
    rollups::{self, Field, Frame, TRIM, align_down, align_up},
    segments::{Segment, Wanted, cover, segments},
    span::{Cut, Span},
};

/// A range, split at the second before which samples have been trimmed.
pub(super) struct Plan {
    /// The frame that it goes by.
    pub(super) frame: Frame,
    pub(super) wanted: Wanted,
    /// The segments of the trimmed part: buckets only.
    pub(super) trimmed: Vec<Segment>,
    /// The part that has its samples.
    pub(super) kept: Option<Span>,
    /// Its segments.
    pub(super) segments: Vec<Segment>,
    /// What is known of the nodes of all segments, in their order, and need not be read.
    pub(super) known: Vec<Option<Arc<[u8]>>>,
}

/// Whether samples are read with their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scores {
    With,
    Without,
}

/// The room that most plans need, so that it need not grow: commands; the arguments and the bytes
/// of a command about samples, and of that about nodes.
const COMMANDS: usize = 4;
const SHORT: (usize, usize) = (5, 64);
const LONG: (usize, usize) = (16, 256);

impl Plan {
    pub(super) fn new(span: Span, wanted: Wanted, frame: Frame) -> Self {
        let since = span.start().second();
        let in_frame = |segments: Vec<Segment>| -> Vec<Segment> {
            segments.into_iter().filter_map(|segment| segment.within(frame)).collect()
        };
        let (trimmed, kept) = if since >= frame.trimmed {
            (Vec::new(), Some(span))
        } else {
            let until = span.end().second_at_or_after();
            let mut buckets = Vec::new();
            let end = frame.trimmed.min(align_up(until, TRIM));
            cover(0, align_down(since, TRIM), end, &mut buckets);
            let rest = Span { since: Some(Cut::before_second(frame.trimmed)), ..span };
            (in_frame(buckets), (until > frame.trimmed).then_some(rest))
        };
        let segments = kept.map(|kept| in_frame(segments(&kept, wanted))).unwrap_or_default();
        Self { frame, wanted, trimmed, kept, segments, known: Vec::new() }
    }

    /// The plan without reading what is known. Nodes of the finest level never are: there are too
    /// many of them.
    pub(super) fn knowing(mut self, known: &Known) -> Self {
        if self.wanted == Wanted::Total {
            let sums = |(level, start)| (level > 0).then(|| known.sums(level, start)).flatten();
            self.known = self.nodes().map(sums).collect();
        }
        self
    }

    /// Whether all of it is read.
    pub(super) fn knows_nothing(&self) -> bool {
        self.known.iter().all(Option::is_none)
    }

    /// The level and the first second of each node, in the order of the segments.
    fn nodes(&self) -> impl Iterator<Item = (usize, i64)> {
        self.trimmed.iter().chain(&self.segments).flat_map(|segment| {
            let (level, from, until) = match *segment {
                Segment::Buckets { level, from, until } => (level, from, until),
                Segment::Samples(_) | Segment::Beside(_) => (0, 0, 0),
            };
            rollups::nodes(level, from, until).map(move |start| (level, start))
        })
    }

    /// What is asked of Redis: how many samples there are, those at the edges, the frame and all
    /// nodes that are not known.
    pub(super) fn request(&self, scores: Scores) -> Pipeline {
        let mut step = Pipeline::with_capacity(COMMANDS);
        step.atomic();
        let mut about_samples = |name, span: &Span, scores| {
            let (since, until) = span.bounds();
            let mut command = Cmd::with_capacity(SHORT.0, SHORT.1);
            command.arg(name).arg(keys::PRICES).arg(since).arg(until).arg(scores);
            step.add_command(command);
        };
        about_samples("ZCOUNT", &self.kept.unwrap_or(Span::NOTHING), None);
        let scores = (scores == Scores::With).then_some("WITHSCORES");
        for segment in &self.segments {
            if let Segment::Samples(span) | Segment::Beside(span) = segment {
                about_samples("ZRANGEBYSCORE", span, scores);
            }
        }
        let mut nodes = Cmd::with_capacity(LONG.0, LONG.1);
        nodes.arg("HMGET").arg(keys::ROLLUPS).arg(Frame::FIELD);
        let mut known = self.known.iter();
        for (level, start) in self.nodes() {
            if !matches!(known.next(), Some(Some(_))) {
                let [sums, extremes] = Field::of_node(level, start);
                nodes.arg(sums).arg((self.wanted == Wanted::Summary).then_some(extremes));
            }
        }
        step.add_command(nodes);
        step
    }
}
