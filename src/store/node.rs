//! How a node of the rollups is written: see `rollups` for what it is.
//!
//! It is binary, little-endian: 64 bytes for each bucket, zeros for an empty one. 6 numbers of 8 bytes: the sum as high * 10^8 + low, the lowest and the
//! highest price, the first and the last; all in 1/10000 peso. 4 numbers of 4 bytes: how many
//! samples and slots, the seconds from the bucket's start to its first sample and to its last.

use std::ops::Range;

use super::rollups::{LARGEST_NODE, LEVELS, node_length};
use crate::domain::{Extremes, Summary};

/// The factor between the two parts of a stored sum.
const HIGH: i128 = 100_000_000;

/// The bytes of a bucket.
const BUCKET: usize = 64;

/// The node of a level that begins at `start`, of those of its buckets that are not empty, each
/// with its first second.
pub(super) fn to_bytes(level: usize, start: i64, buckets: &[(i64, Summary)]) -> Vec<u8> {
    let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
    let mut node = Vec::new();
    let mut buckets = buckets.iter().peekable();
    for place in 0..node_length(level) / length {
        let start = start + place * length;
        match buckets.next_if(|(own, _)| *own == start) {
            Some((_, summary)) => push_bucket(start, summary, &mut node),
            None => node.extend([0; BUCKET]),
        }
    }
    node
}

fn push_bucket(start: i64, summary: &Summary, node: &mut Vec<u8>) {
    // Saturating: what does not fit is no sum of prices.
    let long = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
    let short = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let (high, low) = (summary.sum.div_euclid(HIGH), summary.sum.rem_euclid(HIGH));
    let Extremes { min, max, first, last } = summary.extremes.unwrap_or_default();
    for number in [long(high), long(low), min, max, first.1, last.1] {
        node.extend(number.to_le_bytes());
    }
    let [count, slots] = [summary.count, summary.slots].map(u64::cast_signed);
    for number in [count, slots, first.0 - start, last.0 - start] {
        node.extend(short(number).to_le_bytes());
    }
}

/// What the buckets sum up that start in `within` and are not empty, of the node of a level that
/// begins at `start`. None of what is no node, which the check of counts then finds.
pub(super) fn from_bytes(
    level: usize,
    start: i64,
    node: &[u8],
    within: Range<i64>,
) -> impl Iterator<Item = Summary> {
    let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
    let starts = (0..).map(move |n| start.saturating_add(n * length));
    let buckets = starts.zip(node.as_chunks().0).filter(move |(start, _)| within.contains(start));
    buckets.filter_map(|(start, bucket)| summary(start, bucket))
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
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        let extremes = Extremes { min: 1, max: 9, first: (3905, 4), last: (4199, 5) };
        let sum = 9_000_000_000_000_000_i128 * 86_400;
        let full = Summary { count: 86_400, slots: 7, sum, extremes: Some(extremes) };
        let node = to_bytes(0, 3600, &[(3900, full)]);
        assert_eq!(node.len(), 12 * BUCKET);
        assert_eq!(from_bytes(0, 3600, &node, 3600..7200).collect::<Vec<_>>(), [full]);
        assert_eq!(from_bytes(0, 3600, &node, 3600..3900).count(), 0);
        assert_eq!(from_bytes(0, 3600, b"no node", 3600..7200).count(), 0);
    }
}
