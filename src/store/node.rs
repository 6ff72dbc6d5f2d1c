//! How a node of the rollups is written: see `rollups` for what it is.
//!
//! In two parts, since a mean needs only the first one, which is the shorter. Both are binary,
//! little-endian, some bytes for each bucket, zeros for an empty one:
//!
//! - sums, 14 bytes, of the lengths in [`SUMS`]: the sum of the prices in 1/10000 peso as
//!   high * 10^8 + low, high in 6 bytes, low in 4; how many samples, in 4;
//! - extremes, 44 bytes: the lowest price, the highest, the first and the last in 8 each, in
//!   1/10000 peso; the seconds from the bucket's start to its first sample and to its last, and
//!   in how many slots its samples lie, in 4 each.

use std::ops::Range;

use super::rollups::{LARGEST_NODE, LEVELS, SUMS, node_length};
use crate::domain::{Extremes, Summary, Total};

/// The factor between the two parts of a stored sum.
const HIGH: i128 = 100_000_000;

/// The bytes of a sum.
const SUM: usize = 14;

/// The bytes of a bucket's extremes.
const EXTREMES: usize = 44;

/// A node as it is stored; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Its sums.
    pub(super) sums: Vec<u8>,
    /// The extremes of its buckets.
    pub(super) extremes: Vec<u8>,
}

impl Node {
    /// The node of a level that begins at `start`, of those of its sums and of its buckets that
    /// are not empty, each with its first second.
    pub(super) fn new(
        level: usize,
        start: i64,
        sums: &[(i64, Total)],
        buckets: &[(i64, Summary)],
    ) -> Self {
        let places =
            |length: i64| (0..node_length(level) / length).map(move |n| start + n * length);
        let mut node = Self::default();
        let mut sums = sums.iter().peekable();
        for start in places(length_of_sums(level)) {
            let sum = sums.next_if(|(own, _)| *own == start);
            node.push_sum(sum.map_or_else(Total::default, |(_, sum)| *sum));
        }
        let mut buckets = buckets.iter().peekable();
        for start in places(length_of_buckets(level)) {
            let bucket = buckets.next_if(|(own, _)| *own == start);
            node.push_extremes(start, bucket.map(|(_, summary)| summary));
        }
        node
    }

    fn push_sum(&mut self, Total { count, sum }: Total) {
        // Saturating: what does not fit into 6 bytes is no sum of prices.
        let high = u64::try_from(sum.div_euclid(HIGH)).unwrap_or(u64::MAX).min((1 << 48) - 1);
        let low = u32::try_from(sum.rem_euclid(HIGH)).unwrap_or(u32::MAX);
        let [high @ .., _, _] = high.to_le_bytes();
        self.sums.extend(high);
        self.sums.extend(low.to_le_bytes());
        self.sums.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn push_extremes(&mut self, start: i64, bucket: Option<&Summary>) {
        let extremes = bucket.and_then(|summary| Some((summary.slots, summary.extremes?)));
        let Some((slots, Extremes { min, max, first, last })) = extremes else {
            self.extremes.extend([0; EXTREMES]);
            return;
        };
        for price in [min, max, first.1, last.1] {
            self.extremes.extend(price.to_le_bytes());
        }
        for number in [first.0 - start, last.0 - start, slots.cast_signed()] {
            self.extremes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

fn length_of_buckets(level: usize) -> i64 {
    LEVELS.get(level).copied().unwrap_or(LARGEST_NODE)
}

fn length_of_sums(level: usize) -> i64 {
    SUMS.get(level).copied().unwrap_or(LARGEST_NODE)
}

/// What the samples of those sums come to that start in `within`, of the node of a level that
/// begins at `start`. Nothing of what is no node, which the check of counts then finds.
pub(super) fn total(level: usize, start: i64, sums: &[u8], within: Range<i64>) -> Total {
    let length = length_of_sums(level);
    let place = |second: i64| usize::try_from((second - start).max(0) / length).unwrap_or_default();
    let sums: &[[u8; SUM]] = sums.as_chunks().0;
    let whole = sums.len() == usize::try_from(node_length(level) / length).unwrap_or_default();
    let until = if whole { place(within.end).min(sums.len()) } else { 0 };
    let from = place(within.start);
    let (mut count, mut high, mut low) = (0, 0, 0);
    for [a, b, c, d, e, f, rest @ ..] in sums.get(from..until).unwrap_or_default() {
        high += u64::from_le_bytes([*a, *b, *c, *d, *e, *f, 0, 0]);
        let rest = u64::from_le_bytes(*rest);
        low += rest & u64::from(u32::MAX);
        count += rest >> 32;
    }
    Total { count, sum: i128::from(high) * HIGH + i128::from(low) }
}

/// What the buckets come to that start in `within` and are not empty, each with its first second.
/// None of what is no node, and none that has no extremes.
pub(super) fn summaries(
    level: usize,
    start: i64,
    node: &Node,
    within: Range<i64>,
) -> impl Iterator<Item = (i64, Summary)> {
    let length = length_of_buckets(level);
    let starts = (0..).map(move |n| start.saturating_add(n * length));
    let buckets = starts.zip(node.extremes.as_chunks().0);
    let wanted = buckets.filter(move |(start, _)| within.contains(start));
    wanted.filter_map(move |(at, bucket)| {
        let (slots, extremes) = extremes(at, bucket)?;
        let Total { count, sum } = total(level, start, &node.sums, at..at + length);
        Some((at, Summary { count, slots, sum, extremes: Some(extremes) }))
    })
}

/// The slots and the extremes of a bucket that starts at `start`; `None` of an empty one.
fn extremes(start: i64, stored: &[u8; EXTREMES]) -> Option<(u64, Extremes)> {
    let (prices, rest) = stored.split_at(32);
    let &[min, max, first, last] = prices.as_chunks().0.first_chunk()?;
    let [min, max, first, last] = [min, max, first, last].map(i64::from_le_bytes);
    let &[first_at, last_at, slots] = rest.as_chunks().0.first_chunk()?;
    let at = |bytes| start.saturating_add(u32::from_le_bytes(bytes).into());
    let (first, last) = ((at(first_at), first), (at(last_at), last));
    let slots = u32::from_le_bytes(slots).into();
    (min > 0).then_some((slots, Extremes { min, max, first, last }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        let extremes = Extremes { min: 1, max: 9, first: (3905, 4), last: (4199, 5) };
        // The most that a bucket of 24 days can hold, a sample a second.
        let sums = [2_073_600, 1].map(|count| {
            let sum = 9_000_000_000_000_000_i128 * i128::from(count);
            Total { count, sum }
        });
        let full = Summary {
            count: sums[0].count + sums[1].count,
            slots: 7,
            sum: sums[0].sum + sums[1].sum,
            extremes: Some(extremes),
        };
        let node = Node::new(0, 3600, &[(3900, sums[0]), (4100, sums[1])], &[(3900, full)]);
        assert_eq!((node.sums.len(), node.extremes.len()), (36 * SUM, 12 * EXTREMES));
        let of = |node: &Node, within| summaries(0, 3600, node, within).collect::<Vec<_>>();
        assert_eq!(of(&node, 3600..7200), [(3900, full)]);
        assert_eq!(of(&node, 3600..3900), []);
        let of_sums = |within| total(0, 3600, &node.sums, within);
        assert_eq!(
            [3600..7200, 3900..4000, 4000..4200].map(of_sums),
            [full.total(), sums[0], sums[1]]
        );
        assert_eq!([0..3600, 3600..3900, 4200..7200].map(of_sums), [Total::default(); 3]);
        // As long as a node of another format, or of another level.
        for other in [240, 480, 36 * SUM - 1, 36 * SUM + SUM] {
            let sums = vec![1; other];
            assert_eq!(total(0, 3600, &sums, 3600..7200), Total::default(), "{other}");
        }
        let broken = [b"no node".to_vec(), Vec::new()]
            .map(|extremes| Node { sums: node.sums.clone(), extremes });
        assert_eq!(broken.map(|node| of(&node, 3600..7200)), [[], []]);
    }
}
