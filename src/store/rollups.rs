//! Rollups: an index over the samples. A bucket sums up the samples of a stretch of time that
//! begins at a multiple of its length; a level is all buckets of one length.
//!
//! Four levels, of 5 min, 1 h, 1 day and 24 days. At a slot of 10 s the finest sums up 30
//! samples. The buckets of a level that lie in one bucket of the next are stored together, as a
//! node, so that the end of a range takes one read a level: any range is two reads of at most 29
//! samples, two of nodes for each of three levels, and one node for each 576 days. Finer or more
//! levels cost more memory than they save in time, fewer the reverse; `make bench-store` measures
//! both.
//!
//! The member of a node is binary, little-endian: its first second in 8 bytes, then 64 bytes for
//! each bucket, zeros for an empty one. 6 numbers of 8 bytes: the sum as high * 10^8 + low, the
//! lowest and the highest price, the first and the last; all in 1/10000 peso. 4 numbers of 4 bytes:
//! how many samples and slots, the seconds from the bucket's start to its first sample and to its
//! last.

use crate::domain::{Extremes, Summary, TimeRange, UnixTime};

/// The lengths of the buckets of each level in seconds, finest first; each divides the next.
pub(super) const LEVELS: [i64; 4] = [300, 3600, 86_400, 24 * 86_400];

/// The length of a node of the coarsest level.
pub(super) const LARGEST_NODE: i64 = 24 * LEVELS[3];

/// Samples are trimmed up to a multiple of this, whole buckets of the finest level.
pub(super) const TRIM: i64 = 600;

/// The factor between the two parts of a stored sum.
const HIGH: i128 = 100_000_000;

/// The bytes of a node before its buckets, and those of a bucket.
const HEAD: usize = 8;
const BUCKET: usize = 64;

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
        let mut segments = vec![Segment::Samples(before)];
        cover(0, from, until, &mut segments);
        segments.push(Segment::Samples(Self { since: Some(after), ..*self }));
        segments
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

/// The seconds that the nodes of a level stretch over: a bucket of the next one.
pub(super) fn node_length(level: usize) -> i64 {
    LEVELS.get(level + 1).copied().unwrap_or(LARGEST_NODE)
}

/// The member of the node of a level that begins at `start`, of those of its buckets that are not
/// empty, each with its first second.
pub(super) fn to_member(level: usize, start: i64, buckets: &[(i64, Summary)]) -> Vec<u8> {
    let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
    let mut member = start.to_le_bytes().to_vec();
    let mut buckets = buckets.iter().peekable();
    for place in 0..node_length(level) / length {
        let start = start + place * length;
        match buckets.next_if(|(own, _)| *own == start) {
            Some((_, summary)) => push_bucket(start, summary, &mut member),
            None => member.extend([0; BUCKET]),
        }
    }
    member
}

fn push_bucket(start: i64, summary: &Summary, member: &mut Vec<u8>) {
    // Saturating: what does not fit is no sum of prices.
    let long = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
    let short = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let (high, low) = (summary.sum.div_euclid(HIGH), summary.sum.rem_euclid(HIGH));
    let Extremes { min, max, first, last } = summary.extremes.unwrap_or_default();
    for number in [long(high), long(low), min, max, first.1, last.1] {
        member.extend(number.to_le_bytes());
    }
    let [count, slots] = [summary.count, summary.slots].map(u64::cast_signed);
    for number in [count, slots, first.0 - start, last.0 - start] {
        member.extend(short(number).to_le_bytes());
    }
}

/// The buckets of a node that are not empty, each with its first second. None of what is no
/// node, which the check of counts then finds.
pub(super) fn from_member(level: usize, member: &[u8]) -> impl Iterator<Item = (i64, Summary)> {
    let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
    let (start, buckets) = member.split_first_chunk::<HEAD>().unwrap_or((&[0; HEAD], &[]));
    let (buckets, _) = buckets.as_chunks::<BUCKET>();
    let starts = (0..).map(move |n| i64::from_le_bytes(*start).saturating_add(n * length));
    starts.zip(buckets).filter_map(|(start, bucket)| Some((start, summary(start, bucket)?)))
}

/// What a bucket sums up; `None` of an empty one.
fn summary(start: i64, bucket: &[u8; BUCKET]) -> Option<Summary> {
    let (longs, shorts) = bucket.split_at(48);
    let (longs, shorts) = (longs.as_chunks().0, shorts.as_chunks().0);
    let &[high, low, min, max, first, last] = longs.first_chunk()?;
    let [high, low, min, max, first, last] =
        [high, low, min, max, first, last].map(i64::from_le_bytes);
    let &[count, slots, first_at, last_at] = shorts.first_chunk()?;
    let [count, slots, first_at, last_at] =
        [count, slots, first_at, last_at].map(u32::from_le_bytes);
    let at = |after_start: u32| start.saturating_add(after_start.into());
    (count > 0).then(|| Summary {
        count: count.into(),
        slots: slots.into(),
        sum: i128::from(high) * HIGH + i128::from(low),
        extremes: Some(Extremes {
            min,
            max,
            first: (at(first_at), first),
            last: (at(last_at), last),
        }),
    })
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

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        let extremes = Extremes { min: 1, max: 9, first: (3905, 4), last: (4199, 5) };
        let sum = 9_000_000_000_000_000_i128 * 86_400;
        let full = Summary { count: 86_400, slots: 7, sum, extremes: Some(extremes) };
        let member = to_member(0, 3600, &[(3900, full)]);
        assert_eq!(member.len(), HEAD + 12 * BUCKET);
        assert_eq!(from_member(0, &member).collect::<Vec<_>>(), [(3900, full)]);
        assert_eq!(from_member(0, b"no node").count(), 0);
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
