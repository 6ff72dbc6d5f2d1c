//! Queries on the tree of summaries: each reads O(log n) nodes.

use std::ops::Range;

use super::{Index, Node};
use crate::domain::{Summary, TimeWeighted, Total};

impl Index {
    /// Returns the node of the hours at some positions.
    pub(in crate::history) fn sum(&self, positions: Range<usize>) -> Node {
        let merge = |one: Node, other: Node| one.merge(other, &self.schedule);
        self.fold(positions, Node::default(), |node| *node, merge)
    }

    /// Returns the node of all hours.
    pub(in crate::history) fn all(&self) -> Node {
        self.node(1)
    }

    /// Returns the summary of the hours at some positions; equal to that of [`Index::sum`], but faster.
    pub(in crate::history) fn summary(&self, positions: Range<usize>) -> Summary {
        let merge = |one: Summary, other| one.merge(other, &self.schedule);
        self.fold(positions, Summary::default(), |node| node.summary, merge)
    }

    /// Returns the count and the sum of the hours at some positions; equal to those of [`Index::sum`], but
    /// much faster.
    pub(in crate::history) fn total(&self, positions: Range<usize>) -> Total {
        self.fold(positions, Total::default(), |node| node.summary.total(), Total::merge)
    }

    /// Returns the prices of the hours at some positions, weighted by the time for which each is valid, at
    /// most `hold` microseconds. `of_hour` is called for hours in which samples are further apart than that.
    pub(in crate::history) fn time_weighted<E>(
        &self,
        positions: &Range<usize>,
        hold: i64,
        of_hour: &impl Fn(usize) -> Result<TimeWeighted, E>,
    ) -> Result<TimeWeighted, E> {
        self.time_weighted_below(1, 0..self.width(), positions, hold, of_hour)
    }

    /// Returns the same for the node `at`, whose hours are at the positions `own`.
    fn time_weighted_below<E>(
        &self,
        at: usize,
        own: Range<usize>,
        positions: &Range<usize>,
        hold: i64,
        of_hour: &impl Fn(usize) -> Result<TimeWeighted, E>,
    ) -> Result<TimeWeighted, E> {
        let node = self.node(at);
        let Some(extremes) = node.summary.extremes else { return Ok(TimeWeighted::none(hold)) };
        if own.end <= positions.start || positions.end <= own.start {
            return Ok(TimeWeighted::none(hold));
        }
        let is_inside = positions.start <= own.start && own.end <= positions.end;
        if is_inside && node.spread.longest_pause <= hold {
            return Ok(TimeWeighted::of_profile(hold, &node.spread, extremes.first, extremes.last));
        }
        if own.len() == 1 {
            return of_hour(own.start);
        }
        let middle = own.start + own.len() / 2;
        let left = self.time_weighted_below(2 * at, own.start..middle, positions, hold, of_hour)?;
        let right =
            self.time_weighted_below(2 * at + 1, middle..own.end, positions, hold, of_hour)?;
        Ok(left.merge(right))
    }

    /// Returns the first of some positions whose hour `matches`. `matches` must be true for a node of several
    /// hours if it is true for one of them.
    pub(in crate::history) fn first(
        &self,
        positions: &Range<usize>,
        matches: &impl Fn(&Node) -> bool,
    ) -> Option<usize> {
        self.first_below(1, 0..self.width(), positions, matches)
    }

    fn first_below(
        &self,
        at: usize,
        own: Range<usize>,
        positions: &Range<usize>,
        matches: &impl Fn(&Node) -> bool,
    ) -> Option<usize> {
        let is_outside = own.end <= positions.start || positions.end <= own.start;
        if is_outside || !matches(&self.node(at)) {
            return None;
        }
        if own.len() == 1 {
            return Some(own.start);
        }
        let middle = own.start + own.len() / 2;
        self.first_below(2 * at, own.start..middle, positions, matches)
            .or_else(|| self.first_below(2 * at + 1, middle..own.end, positions, matches))
    }

    /// Returns the first position up to and including which the hours are `enough`, and the node of the hours
    /// before it. Once `enough` is true, it must stay true for more hours.
    pub(in crate::history) fn find(&self, enough: impl Fn(&Node) -> bool) -> Option<(usize, Node)> {
        let mut before = Node::default();
        if !enough(&self.node(1)) {
            return None;
        }
        let mut at = 1;
        while at < self.width() {
            let with_left = before.merge(self.node(2 * at), &self.schedule);
            at *= 2;
            if !enough(&with_left) {
                before = with_left;
                at += 1;
            }
        }
        Some((at - self.width(), before))
    }

    fn fold<T: Copy>(
        &self,
        positions: Range<usize>,
        empty: T,
        of: impl Fn(&Node) -> T,
        merge: impl Fn(T, T) -> T,
    ) -> T {
        let (mut left, mut right) = (empty, empty);
        let (mut from, mut until) = (positions.start + self.width(), positions.end + self.width());
        while from < until {
            if from % 2 == 1 {
                left = self.tree.get(from).map_or(left, |node| merge(left, of(node)));
                from += 1;
            }
            if until % 2 == 1 {
                until -= 1;
                right = self.tree.get(until).map_or(right, |node| merge(of(node), right));
            }
            from /= 2;
            until /= 2;
        }
        merge(left, right)
    }
}
