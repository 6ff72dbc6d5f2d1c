//! All hours in order, with a tree of summaries over them: sums consecutive hours and finds the hour of a
//! rank, both in O(log n).

mod tree;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    domain::{Point, Schedule, SpreadSums, Summary},
    store::{HOUR, Hour},
};

/// The summary of some hours, kept even if their samples are not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) summary: Summary,
    pub(super) spread: SpreadSums,
    /// The number of members of `prices` in these hours, whether they are samples or not.
    pub(super) members: u64,
    /// The number of these hours that have a block.
    pub(super) blocks: u64,
    /// The number of these hours whose samples are lost.
    pub(super) damaged: u64,
}

/// One hour.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The first unix second of the hour.
    pub(super) start: i64,
    pub(super) node: Node,
    /// Whether the block of the hour has all of its samples and no others.
    pub(super) is_sealed: bool,
    /// The samples of the hour, if they are in memory.
    pub(super) columns: Option<Arc<Columns>>,
}

/// The samples of an hour in memory, and when they were last used.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) hour: Hour,
    used: AtomicU32,
}

/// All hours. Entries are sorted by time. The tree is a binary tree in one array: node `n` has the children
/// `2n` and `2n + 1`, and the second half of the array are the nodes of the entries.
#[derive(Debug, Clone)]
pub(super) struct Index {
    entries: Vec<Entry>,
    tree: Vec<Node>,
    schedule: Arc<Schedule>,
    /// The size of all columns in memory, in bytes.
    bytes: usize,
}

impl Node {
    /// Returns the node of an hour that has been read.
    pub(super) fn of(hour: &Hour, schedule: &Schedule) -> Self {
        let points: Vec<Point> = hour.points(0..hour.len()).collect();
        Self::of_points(&points, schedule)
    }

    /// Returns the node of samples that are given oldest first.
    pub(super) fn of_points(points: &[Point], schedule: &Schedule) -> Self {
        Self {
            summary: Summary::of(points.iter().copied(), schedule),
            spread: SpreadSums::of(points.iter().copied()),
            ..Self::default()
        }
    }

    pub(super) fn merge(self, later: Self, schedule: &Schedule) -> Self {
        let last = self.summary.extremes.map(|extremes| extremes.last);
        let next = later.summary.extremes.map(|extremes| extremes.first);
        Self {
            spread: self.spread.merge(last, next, later.spread),
            summary: self.summary.merge(later.summary, schedule),
            members: self.members + later.members,
            blocks: self.blocks + later.blocks,
            damaged: self.damaged + later.damaged,
        }
    }
}

impl Columns {
    pub(super) fn new(hour: Hour) -> Arc<Self> {
        Arc::new(Self { hour, used: AtomicU32::new(0) })
    }

    /// Records the time of use, by a clock that only needs to be monotonic.
    pub(super) fn touch(&self, now: u32) {
        self.used.store(now, Ordering::Relaxed);
    }
}

impl Entry {
    /// Whether the hour has neither members nor a block.
    fn is_empty(&self) -> bool {
        self.node == Node::default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.as_ref().map_or(0, |columns| columns.hour.bytes())
    }
}

impl Index {
    /// Creates an index of entries in any order, one for each hour.
    pub(super) fn new(schedule: Arc<Schedule>, mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| !entry.is_empty());
        entries.sort_by_key(|entry| entry.start);
        let bytes = entries.iter().map(Entry::bytes).sum();
        let mut index = Self { entries, tree: Vec::new(), schedule, bytes };
        index.rebuild_tree();
        index
    }

    /// Returns the size of all columns in memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the entry of the hour that begins at `start`.
    pub(super) fn entry(&self, start: i64) -> Option<&Entry> {
        let position = self.entries.binary_search_by_key(&start, |entry| entry.start).ok()?;
        self.entries.get(position)
    }

    /// Returns the position of the first hour that ends after a score.
    pub(super) fn position_at(&self, score: f64) -> usize {
        #[allow(clippy::cast_precision_loss, reason = "within the calendar, far below 2^53")]
        self.entries.partition_point(|entry| (entry.start + HOUR) as f64 <= score)
    }

    /// Returns the same as [`Index::position_at`]; faster if the position is `hint` or the one after it.
    pub(super) fn position_near(&self, hint: usize, score: f64) -> usize {
        #[allow(clippy::cast_precision_loss, reason = "within the calendar, far below 2^53")]
        let is_after = |position: usize| {
            self.entries.get(position).is_none_or(|entry| (entry.start + HOUR) as f64 > score)
        };
        let is_first = |position: usize| {
            is_after(position) && position.checked_sub(1).is_none_or(|before| !is_after(before))
        };
        let near = [hint, hint + 1].into_iter().find(|position| is_first(*position));
        near.unwrap_or_else(|| self.position_at(score))
    }

    /// Replaces the entries of the same hours. O(log n) for one entry whose hour exists already or is later
    /// than all others; else O(n).
    pub(super) fn put(&mut self, mut entries: Vec<Entry>) {
        if let [entry] = entries.as_slice()
            && !entry.is_empty()
            && self.put_one(entry)
        {
            return;
        }
        let starts: std::collections::HashSet<i64> =
            entries.iter().map(|entry| entry.start).collect();
        entries.extend(
            std::mem::take(&mut self.entries)
                .into_iter()
                .filter(|entry| !starts.contains(&entry.start)),
        );
        *self = Self::new(Arc::clone(&self.schedule), entries);
    }

    fn put_one(&mut self, entry: &Entry) -> bool {
        let position = self.entries.partition_point(|other| other.start < entry.start);
        let has_free_leaf = self.entries.len() < self.width();
        match self.entries.get_mut(position) {
            Some(old) if old.start == entry.start => {
                self.bytes = self.bytes + entry.bytes() - old.bytes();
                *old = entry.clone();
            }
            None if has_free_leaf => {
                self.bytes += entry.bytes();
                self.entries.push(entry.clone());
            }
            _ => return false,
        }
        let mut at = self.width() + position;
        if let Some(leaf) = self.tree.get_mut(at) {
            *leaf = entry.node;
        }
        while at > 1 {
            at /= 2;
            let node = self.node(2 * at).merge(self.node(2 * at + 1), &self.schedule);
            if let Some(parent) = self.tree.get_mut(at) {
                *parent = node;
            }
        }
        true
    }

    /// Keeps the samples of an hour in memory if they match the summary in the index; returns `false` if they
    /// do not.
    pub(super) fn keep(&mut self, start: i64, columns: &Arc<Columns>, limit: usize) -> bool {
        let summary = columns.hour.summary(0..columns.hour.len(), &self.schedule);
        let position = self.entries.partition_point(|entry| entry.start < start);
        match self.entries.get_mut(position) {
            Some(entry) if entry.start == start && entry.node.summary == summary => {
                self.bytes -= entry.bytes();
                entry.columns = Some(Arc::clone(columns));
                self.bytes += entry.bytes();
                self.evict(limit);
                true
            }
            _ => false,
        }
    }

    /// Evicts the least recently used columns from memory until an eighth of the limit is free, if the limit
    /// is exceeded.
    pub(super) fn evict(&mut self, limit: usize) {
        if self.bytes <= limit {
            return;
        }
        let used = |entry: &Entry| Some(entry.columns.as_ref()?.used.load(Ordering::Relaxed));
        let mut oldest: Vec<(u32, usize)> = (0..)
            .zip(&self.entries)
            .filter_map(|(position, entry)| Some((used(entry)?, position)))
            .collect();
        oldest.sort_unstable();
        for (_, position) in oldest {
            if self.bytes <= limit - limit / 8 {
                return;
            }
            if let Some(entry) = self.entries.get_mut(position) {
                self.bytes -= entry.bytes();
                entry.columns = None;
            }
        }
    }

    /// Returns the number of entries for which the tree has leaves.
    fn width(&self) -> usize {
        self.tree.len() / 2
    }

    fn node(&self, at: usize) -> Node {
        self.tree.get(at).copied().unwrap_or_default()
    }

    fn rebuild_tree(&mut self) {
        // One leaf more than needed, for the next hour.
        let width = (self.entries.len() + 1).next_power_of_two();
        let mut tree = vec![Node::default(); width];
        tree.extend(self.entries.iter().map(|entry| entry.node));
        tree.resize(2 * width, Node::default());
        for at in (1..width).rev() {
            let [left, right] = [2 * at, 2 * at + 1].map(|at| tree.get(at).copied());
            let sum = left.unwrap_or_default().merge(right.unwrap_or_default(), &self.schedule);
            if let Some(node) = tree.get_mut(at) {
                *node = sum;
            }
        }
        self.tree = tree;
    }
}
