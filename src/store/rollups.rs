//! Rollups: an index over the samples. A bucket sums up the samples of a stretch of time that
//! begins at a multiple of its length; a level is all buckets of one length.
//!
//! Four levels, of 5 min, 1 h, 1 day and 24 days. At a slot of 10 s the finest sums up 30
//! samples. The buckets of a level that lie in one bucket of the next are stored together, as a
//! node, so that the end of a range takes one node a level: any range is two reads of at most 30
//! samples and one of nodes, at most two for each of three levels and one for each 576 days.
//!
//! A mean reads of the nodes the shorter part, see `node`, which has the sums of the finest level
//! for every 100 s; and since a sum can be had from either side of a bucket, it reads at most 5
//! samples at each end.
//!
//! Tried at 1e6 and 1e7 samples (`make bench-store`): three levels, of 5 min, 4 h and 8 days, take
//! a sixth less memory and are no faster at 1e6, slower at 1e7.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs};

/// The lengths of the buckets of each level in seconds, finest first; each divides the next.
pub(super) const LEVELS: [i64; 4] = [300, 3600, 86_400, 24 * 86_400];

/// The lengths in seconds that the sums of each level are kept for: its buckets, at the finest
/// level thirds of them. Each divides the bucket.
pub(super) const SUMS: [i64; LEVELS.len()] = [100, LEVELS[1], LEVELS[2], LEVELS[3]];

/// The name of each level, by which its nodes are stored.
pub(super) const NAMES: [&str; LEVELS.len()] = ["5m", "1h", "1d", "24d"];

/// The length of a node of the coarsest level.
pub(super) const LARGEST_NODE: i64 = 24 * LEVELS[3];

/// Samples are trimmed up to a multiple of this, whole buckets of the finest level.
pub(super) const TRIM: i64 = 600;

/// The second before which samples have been trimmed, where none have.
pub(super) const NOTHING_TRIMMED: i64 = -1_000_000_000_000_000;

/// What is known of all rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// When a node last changed, in microseconds of Redis' clock, and later each time: who is told
    /// the same twice was told of the same nodes.
    pub(super) changed: i64,
    /// All nodes lie in the seconds `[first, last)`, a whole number of the coarsest.
    pub(super) first: i64,
    /// See `first`.
    pub(super) last: i64,
    /// The second before which samples have been trimmed; [`NOTHING_TRIMMED`] where none have.
    pub(super) trimmed: i64,
}

impl Frame {
    /// The field that tells it, `<changed>:<first>:<last>:<trimmed>`.
    pub(super) const FIELD: &str = "frame";

    /// Reads what the field holds; the frame of no nodes where that is nothing, or no frame.
    pub(super) fn of(stored: Option<&str>) -> Self {
        let mut numbers = stored.unwrap_or_default().split(':').map_while(|part| part.parse().ok());
        let mut next = || numbers.next();
        let whole = |second: i64| align_down(second, LARGEST_NODE);
        match (next(), next(), next(), next()) {
            (Some(changed), Some(first), Some(last), Some(trimmed)) => {
                Self { changed, first: whole(first), last: whole(last), trimmed }
            }
            _ => Self::default(),
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self { changed: 0, first: 0, last: 0, trimmed: NOTHING_TRIMMED }
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

/// The field that a part of a node is stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// The level of the node.
    pub(super) level: usize,
    /// Its first second.
    pub(super) start: i64,
    /// Whether it is the part with the extremes, not the one with the sums.
    pub(super) extremes: bool,
}

impl Field {
    /// Both fields of a node: sums, extremes.
    pub(super) fn of_node(level: usize, start: i64) -> [Self; 2] {
        [false, true].map(|extremes| Self { level, start, extremes })
    }

    /// Reads the name of a field, if it is one of sums.
    pub(super) fn of_sums(name: &str) -> Option<Self> {
        let (level, start) = name.split_once(':')?;
        let level = NAMES.iter().position(|known| *known == level)?;
        Some(Self { level, start: start.parse().ok()?, extremes: false })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.get(self.level).copied().unwrap_or_default())?;
        f.write_str(":")?;
        self.start.fmt(f)?;
        f.write_str(if self.extremes { ":extremes" } else { "" })
    }
}

impl ToRedisArgs for Field {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

/// The seconds that the nodes of a level stretch over: a bucket of the next one.
pub(super) fn node_length(level: usize) -> i64 {
    LEVELS.get(level + 1).copied().unwrap_or(LARGEST_NODE)
}
