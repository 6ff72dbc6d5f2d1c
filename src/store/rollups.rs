//! Rollups: an index over the samples. A bucket sums up the samples of a stretch of time that
//! begins at a multiple of its length; a level is all buckets of one length.
//!
//! Four levels, of 5 min, 1 h, 1 day and 24 days. At a slot of 10 s the finest sums up 30
//! samples. The buckets of a level that lie in one bucket of the next are stored together, as a
//! node, so that the end of a range takes one node a level: any range is two reads of at most 29
//! samples and one of nodes, at most two for each of three levels and one for each 576 days. Finer
//! or more levels cost more memory than they save in time, fewer the reverse; `make bench-store`
//! measures both.

use crate::domain::{TimeRange, UnixTime};

/// The lengths of the buckets of each level in seconds, finest first; each divides the next.
pub(super) const LEVELS: [i64; 4] = [300, 3600, 86_400, 24 * 86_400];

/// The name of each level, by which its nodes are stored.
pub(super) const NAMES: [&str; LEVELS.len()] = ["5m", "1h", "1d", "24d"];

/// The length of a node of the coarsest level.
pub(super) const LARGEST_NODE: i64 = 24 * LEVELS[3];

/// Samples are trimmed up to a multiple of this, whole buckets of the finest level.
pub(super) const TRIM: i64 = 600;

/// A stretch of scores, either end open where it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first score in it.
    pub(super) since: Option<UnixTime>,
    /// Its last score.
    pub(super) until: Option<UnixTime>,
    /// Whether the last score is in it.
    pub(super) end: End,
}

/// Whether a span has its last score in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has.
    Inclusive,
    /// It has not: the next one begins there.
    Exclusive,
}

/// A part of a span that is read in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    /// The samples themselves.
    Samples(Span),
    /// The buckets of a level that start in `[from, until)`.
    Buckets {
        /// Index into [`LEVELS`].
        level: usize,
        /// First second of the first bucket.
        from: i64,
        /// First second after the last bucket.
        until: i64,
    },
}

impl Span {
    /// The seconds `[from, until)`.
    pub(super) fn of_seconds(from: i64, until: i64) -> Self {
        let (since, until) = (UnixTime::from_seconds(from), UnixTime::from_seconds(until));
        Self { since: Some(since), until: Some(until), end: End::Exclusive }
    }

    /// Its ends as Redis takes scores.
    pub(super) fn bounds(&self) -> (String, String) {
        let open = if self.end == End::Exclusive { "(" } else { "" };
        (
            self.since.map_or_else(|| "-inf".to_owned(), |time| time.to_string()),
            self.until.map_or_else(|| "+inf".to_owned(), |time| format!("{open}{time}")),
        )
    }

    /// The first second after it.
    pub(super) fn end_second(&self) -> i64 {
        let until = self.until.unwrap_or(UnixTime::MAX).second();
        until + i64::from(self.end == End::Inclusive)
    }

    /// Cuts it into the fewest segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let [finest, ..] = LEVELS;
        let from = align_up(self.since.unwrap_or(UnixTime::MIN).second_at_or_after(), finest);
        // All of a bucket must lie in the span, and scores may have fractions.
        let until = align_down(self.until.unwrap_or(UnixTime::MAX).second(), finest);
        if from >= until {
            return vec![Segment::Samples(*self)];
        }
        let (before, after) = (UnixTime::from_seconds(from), UnixTime::from_seconds(until));
        let before = Self { until: Some(before), end: End::Exclusive, ..*self };
        let mut segments = Vec::new();
        if before.since < before.until {
            segments.push(Segment::Samples(before));
        }
        cover(0, from, until, &mut segments);
        segments.push(Segment::Samples(Self { since: Some(after), ..*self }));
        segments
    }
}

/// The second before which samples have been trimmed, where none have.
pub(super) const NOTHING_TRIMMED: i64 = i64::MIN;

/// What is known of all rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The second before which samples have been trimmed; [`NOTHING_TRIMMED`] where none have.
    pub(super) trimmed: i64,
    /// All nodes lie in the seconds `[first, last)`, a whole number of the coarsest.
    pub(super) first: i64,
    /// See `first`.
    pub(super) last: i64,
}

impl Frame {
    /// The fields that tell it, in the order of [`Frame::of`].
    pub(super) const FIELDS: [&str; 3] = ["trimmed", "first", "last"];

    /// Reads what the fields hold.
    pub(super) fn of([trimmed, first, last]: [Option<i64>; 3]) -> Self {
        let trimmed = trimmed.unwrap_or(NOTHING_TRIMMED);
        let first = align_down(first.unwrap_or(0), LARGEST_NODE);
        Self { trimmed, first, last: align_down(last.unwrap_or(first), LARGEST_NODE) }
    }

    /// The part of a segment that rollups may have, if there is one.
    pub(super) fn part_of(&self, segment: Segment) -> Option<Segment> {
        match segment {
            Segment::Samples(Span { since, until, .. }) => {
                let since = since.unwrap_or(UnixTime::MIN).second();
                let until = until.unwrap_or(UnixTime::MAX).second();
                (since < self.last && until >= self.first).then_some(segment)
            }
            Segment::Buckets { level, from, until } => {
                let (from, until) = (from.max(self.first), until.min(self.last));
                (from < until).then_some(Segment::Buckets { level, from, until })
            }
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::of([None; 3])
    }
}

impl From<&TimeRange> for Span {
    fn from(range: &TimeRange) -> Self {
        Self { since: range.since(), until: range.until(), end: End::Inclusive }
    }
}

/// Covers `[from, until)`, both multiples of the level's length, by this level and coarser ones.
pub(super) fn cover(level: usize, from: i64, until: i64, segments: &mut Vec<Segment>) {
    let buckets = |from, until| (from < until).then_some(Segment::Buckets { level, from, until });
    let inner =
        LEVELS.get(level + 1).map(|&length| (align_up(from, length), align_down(until, length)));
    match inner {
        Some((inner_from, inner_until)) if inner_from < inner_until => {
            segments.extend(buckets(from, inner_from));
            cover(level + 1, inner_from, inner_until, segments);
            segments.extend(buckets(inner_until, until));
        }
        _ => segments.extend(buckets(from, until)),
    }
}

pub(super) fn align_down(second: i64, length: i64) -> i64 {
    second.div_euclid(length) * length
}

pub(super) fn align_up(second: i64, length: i64) -> i64 {
    align_down(second + length - 1, length)
}

/// The first seconds of the nodes of a level that have buckets in the seconds `[from, until)`.
pub(super) fn nodes(level: usize, from: i64, until: i64) -> impl Iterator<Item = i64> {
    let length = node_length(level);
    let first = align_down(from, length);
    (0..).map(move |n| first + n * length).take_while(move |&at| at < until)
}

/// The field that a node is stored in.
pub(super) fn field(level: usize, start: i64) -> String {
    format!("{}:{start}", NAMES.get(level).copied().unwrap_or_default())
}

/// The level and the first second of the node in a field, if it is one.
pub(super) fn node_of(field: &str) -> Option<(usize, i64)> {
    let (name, start) = field.split_once(':')?;
    Some((NAMES.iter().position(|known| *known == name)?, start.parse().ok()?))
}

/// The seconds that the nodes of a level stretch over: a bucket of the next one.
pub(super) fn node_length(level: usize) -> i64 {
    LEVELS.get(level + 1).copied().unwrap_or(LARGEST_NODE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(since: i64, until: i64) -> Span {
        Span { end: End::Inclusive, ..Span::of_seconds(since, until) }
    }

    #[test]
    fn a_span_over_all_time_is_a_handful_of_segments() {
        assert!(Span::from(&TimeRange::default()).segments().len() <= 9);
        assert_eq!(span(5, 6).segments().len(), 1);
    }

    proptest! {
        /// Every second of the span is in exactly one segment, in order, and segments are few.
        #[test]
        fn segments_cover_a_span_without_gap_or_overlap(
            since in 0i64..2_000_000_000, length in 0i64..1_000_000_000,
        ) {
            let until = since + length;
            let segments = span(since, until).segments();
            prop_assert!(segments.len() <= 9);
            let mut next = since;
            for segment in segments {
                let (from, end) = match segment {
                    Segment::Samples(Span { since, until, end }) => {
                        let exclusive = i64::from(end == End::Inclusive);
                        (since.unwrap().second(), until.unwrap().second() + exclusive)
                    }
                    Segment::Buckets { level, from, until } => {
                        let length = LEVELS[level];
                        prop_assert!(from % length == 0 && until % length == 0 && from < until);
                        prop_assert!(level == 3 || (until - from) / length < 48);
                        (from, until)
                    }
                };
                prop_assert_eq!(from, next);
                next = end;
            }
            prop_assert_eq!(next, until + 1);
        }
    }
}
