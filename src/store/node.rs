//! How a node of the rollups is written: see `rollups` for what it is.
//!
//! In two parts, since a mean needs only the first one, which is the shorter. Both are binary,
//! little-endian, some bytes for each bucket, zeros for an empty one:
//!
//! - sums, 20 bytes: the sum of the prices in 1/10000 peso as high * 10^8 + low, high in 8 bytes,
//!   low in 4; how many samples and how many slots, in 4 each;
//! - extremes, 40 bytes: the lowest price, the highest, the first and the last in 8 each, in
//!   1/10000 peso; the seconds from the bucket's start to its first sample and to its last in 4
//!   each.

use std::ops::Range;

use super::rollups::{LARGEST_NODE, LEVELS, node_length};
use crate::domain::{Extremes, Summary};

/// The factor between the two parts of a stored sum.
const HIGH: i128 = 100_000_000;

/// The bytes of a bucket's sums.
const SUMS: usize = 20;

/// The bytes of a bucket's extremes.
const EXTREMES: usize = 40;

/// A node as it is stored; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The sums of its buckets.
    pub(super) sums: Vec<u8>,
    /// Their extremes.
    pub(super) extremes: Vec<u8>,
}

impl Node {
    /// The node of a level that begins at `start`, of those of its buckets that are not empty,
    /// each with its first second.
    pub(super) fn new(level: usize, start: i64, buckets: &[(i64, Summary)]) -> Self {
        let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
        let mut node = Self::default();
        let mut buckets = buckets.iter().peekable();
        for place in 0..node_length(level) / length {
            let start = start + place * length;
            if let Some((_, summary)) = buckets.next_if(|(own, _)| *own == start) {
                node.push(start, summary);
            } else {
                node.sums.extend([0; SUMS]);
                node.extremes.extend([0; EXTREMES]);
            }
        }
        node
    }

    fn push(&mut self, start: i64, summary: &Summary) {
        // Saturating: what does not fit is no sum of prices.
        let long = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let short = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let (high, low) = (summary.sum.div_euclid(HIGH), summary.sum.rem_euclid(HIGH));
        let [count, slots] = [summary.count, summary.slots].map(u64::cast_signed);
        self.sums.extend(long(high).to_le_bytes());
        for number in [long(low), count, slots] {
            self.sums.extend(short(number).to_le_bytes());
        }
        let Extremes { min, max, first, last } = summary.extremes.unwrap_or_default();
        for price in [min, max, first.1, last.1] {
            self.extremes.extend(price.to_le_bytes());
        }
        for second in [first.0, last.0] {
            self.extremes.extend(short(second - start).to_le_bytes());
        }
    }
}

/// What the buckets come to that start in `within` and are not empty, of the node of a level that
/// begins at `start`; without extremes where none are given. None of what is no node, which the
/// check of counts then finds.
pub(super) fn summaries(
    level: usize,
    start: i64,
    sums: &[u8],
    extremes: Option<&[u8]>,
    within: Range<i64>,
) -> impl Iterator<Item = Summary> {
    let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
    let starts = (0..).map(move |n| start.saturating_add(n * length));
    let buckets = starts.zip(sums.as_chunks().0).enumerate();
    let wanted = buckets.filter(move |(_, (start, _))| within.contains(start));
    wanted.filter_map(move |(n, (start, bucket))| {
        let summary = sums_of(bucket)?;
        let Some(extremes) = extremes else { return Some(summary) };
        let extremes = extremes_of(start, extremes.as_chunks().0.get(n)?)?;
        Some(Summary { extremes: Some(extremes), ..summary })
    })
}

/// The sums of a bucket; `None` of an empty one.
fn sums_of(bucket: &[u8; SUMS]) -> Option<Summary> {
    let (high, rest) = bucket.split_first_chunk()?;
    let &[low, count, slots] = rest.as_chunks().0.first_chunk()?;
    let [low, count, slots] = [low, count, slots].map(u32::from_le_bytes);
    let sum = i128::from(i64::from_le_bytes(*high)) * HIGH + i128::from(low);
    let (count, slots) = (count.into(), slots.into());
    (count > 0).then_some(Summary { count, slots, sum, extremes: None })
}

/// The extremes of a bucket that starts at `start`; `None` of an empty one.
fn extremes_of(start: i64, bucket: &[u8; EXTREMES]) -> Option<Extremes> {
    let (prices, seconds) = bucket.split_at(32);
    let &[min, max, first, last] = prices.as_chunks().0.first_chunk()?;
    let [min, max, first, last] = [min, max, first, last].map(i64::from_le_bytes);
    let &[first_at, last_at] = seconds.as_chunks().0.first_chunk()?;
    let at = |bytes| start.saturating_add(u32::from_le_bytes(bytes).into());
    let (first, last) = ((at(first_at), first), (at(last_at), last));
    (min > 0).then_some(Extremes { min, max, first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_was_written() {
        let extremes = Extremes { min: 1, max: 9, first: (3905, 4), last: (4199, 5) };
        let sum = 9_000_000_000_000_000_i128 * 86_400;
        let full = Summary { count: 86_400, slots: 7, sum, extremes: Some(extremes) };
        let node = Node::new(0, 3600, &[(3900, full)]);
        assert_eq!((node.sums.len(), node.extremes.len()), (12 * SUMS, 12 * EXTREMES));
        let summaries = |node: &Node, within| {
            summaries(0, 3600, &node.sums, Some(&node.extremes), within).collect::<Vec<_>>()
        };
        assert_eq!(summaries(&node, 3600..7200), [full]);
        assert_eq!(summaries(&node, 3600..3900), []);
        let total = super::summaries(0, 3600, &node.sums, None, 3600..7200).next();
        assert_eq!(total, Some(Summary { extremes: None, ..full }));
        let broken = [b"no node".to_vec(), Vec::new()]
            .map(|extremes| Node { sums: node.sums.clone(), extremes });
        assert_eq!(broken.map(|node| summaries(&node, 3600..7200)), [[], []]);
    }
}
