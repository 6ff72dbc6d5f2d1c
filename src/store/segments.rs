//! Which samples and which buckets of the rollups make up a span.

use std::cmp::Ordering;

use super::{
    rollups::{Frame, LEVELS, SUMS, align_down, align_up},
    span::{Cut, Span},
};

/// A part of a span that is read in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    /// Samples of the span.
    Samples(Span),
    /// Samples beside the span, by which the buckets have too many.
    Beside(Span),
    /// The buckets of a level, or the sums, that start in `[from, until)`.
    Buckets {
        /// Index into [`LEVELS`].
        level: usize,
        /// First second of the first bucket.
        from: i64,
        /// First second after the last bucket.
        until: i64,
    },
}

impl Segment {
    /// The part that rollups may have, if there is one.
    pub(super) fn within(self, frame: Frame) -> Option<Self> {
        match self {
            Self::Samples(span) | Self::Beside(span) => {
                let (start, end) = (span.start().second(), span.end().second());
                (start < frame.last && end >= frame.first).then_some(self)
            }
            Self::Buckets { level, from, until } => {
                let (from, until) = (from.max(frame.first), until.min(frame.last));
                (from < until).then_some(Self::Buckets { level, from, until })
            }
        }
    }
}

/// What is asked of a span, which tells how a bucket is read that one of its ends cuts in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of what its samples come to: from such a bucket the samples in the span.
    Summary,
    /// Their sum: the samples of the shorter part, since those beside the span can be taken away
    /// from a sum, as they could not from a lowest price.
    Total,
}

/// Cuts a span into the fewest segments, oldest first.
pub(super) fn segments(span: &Span, wanted: Wanted) -> Vec<Segment> {
    let [finest, ..] = match wanted {
        Wanted::Summary => LEVELS,
        Wanted::Total => SUMS,
    };
    let (start, end) = (span.start(), span.end());
    let down = |cut: Cut| align_down(cut.second(), finest);
    let up = |cut: Cut| align_up(cut.second_at_or_after(), finest);
    let nearer = |cut: Cut| {
        let middle = Cut::before_second(down(cut) + finest / 2);
        if cut < middle { down(cut) } else { up(cut) }
    };
    let (from, until) = match wanted {
        Wanted::Summary => (up(start), down(end)),
        Wanted::Total => (nearer(start), nearer(end)),
    };
    if from >= until {
        return vec![Segment::Samples(*span)];
    }
    let (first, last) = (Some(Cut::before_second(from)), Some(Cut::before_second(until)));
    let samples = |since, until| Some(Segment::Samples(Span { since, until }));
    let beside = |since, until| Some(Segment::Beside(Span { since, until }));
    let mut segments = Vec::new();
    segments.extend(match Some(start).cmp(&first) {
        Ordering::Less => samples(span.since, first),
        Ordering::Equal => None,
        Ordering::Greater => beside(first, Some(start)),
    });
    cover(0, from, until, &mut segments);
    segments.extend(match last.cmp(&Some(end)) {
        Ordering::Less => samples(last, span.until),
        Ordering::Equal => None,
        Ordering::Greater => beside(Some(end), last),
    });
    segments
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::rollups::node_length, *};
    use crate::domain::{TimeRange, UnixTime};

    fn span(since: i64, until: i64) -> Span {
        let at = |second| Some(UnixTime::from_seconds(second));
        Span::from(&TimeRange::new(at(since), at(until)).unwrap())
    }

    /// How often the sample of a second is in what a segment brings.
    fn weight(segment: &Segment, second: i64) -> i64 {
        let at = Cut::before_second(second);
        let within = |span: &Span| i64::from(span.start() <= at && at < span.end());
        match segment {
            Segment::Samples(span) => within(span),
            Segment::Beside(span) => -within(span),
            Segment::Buckets { from, until, .. } => i64::from((*from..*until).contains(&second)),
        }
    }

    #[test]
    fn a_span_over_all_time_is_a_handful_of_segments() {
        for wanted in [Wanted::Summary, Wanted::Total] {
            assert!(segments(&Span::from(&TimeRange::default()), wanted).len() <= 9);
            assert_eq!(segments(&span(5, 6), wanted).len(), 1);
        }
    }

    #[test]
    fn an_open_end_takes_nothing_away() {
        let beside = |span: Span| {
            segments(&span, Wanted::Total).into_iter().find_map(|segment| match segment {
                Segment::Beside(span) => {
                    let (since, until) = span.bounds();
                    Some(format!("{since} {until}"))
                }
                _ => None,
            })
        };
        assert_eq!(
            beside(Span { until: None, ..span(600, 600) }),
            Some("(253402300799 (253402300800".to_owned())
        );
        assert_eq!(
            beside(Span { since: None, ..span(1199, 1199) }),
            Some("(1199 (1200".to_owned())
        );
    }

    #[test]
    fn a_bucket_is_read_from_its_shorter_side() {
        let seconds = |until| match segments(&span(600, until), Wanted::Total).pop() {
            Some(Segment::Beside(_)) => "beside",
            Some(Segment::Samples(_)) => "samples",
            _ => "neither",
        };
        assert_eq!(
            [1199, 1200, 1249, 1250, 1299, 1349].map(seconds),
            ["beside", "samples", "samples", "beside", "beside", "samples"]
        );
    }

    proptest! {
        /// Every second of the span counts once and no other does; segments are few.
        #[test]
        fn segments_cover_a_span_without_gap_or_overlap(
            since in 0i64..2_000_000_000, length in 0i64..1_000_000_000, short in 0i64..2000,
            near in -700i64..700, far in 0i64..3_000_000_000,
        ) {
            for until in [since + length, since + short] {
                for wanted in [Wanted::Summary, Wanted::Total] {
                    let segments = segments(&span(since, until), wanted);
                    prop_assert!(segments.len() <= 9);
                    for at in [since - 1, since, since + near, until + near, until, until + 1, far] {
                        let count: i64 = segments.iter().map(|part| weight(part, at)).sum();
                        prop_assert_eq!(count, i64::from((since..=until).contains(&at)), "{}", at);
                    }
                    for segment in segments {
                        let Segment::Buckets { level, from, until } = segment else { continue };
                        let length = if wanted == Wanted::Total { SUMS } else { LEVELS }[level];
                        prop_assert!(from % length == 0 && until % length == 0 && from < until);
                        prop_assert!(level == 3 || until - from < 2 * node_length(level));
                    }
                }
            }
        }
    }
}
