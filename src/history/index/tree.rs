//! Questions to the tree of summaries: each looks at O(log n) of its nodes.

use std::ops::Range;

use super::{Index, Node};
use crate::domain::{Held, Summary, Total};

impl Index {
    /// What is known of the hours at some positions.
    pub(in crate::history) fn sum(&self, positions: Range<usize>) -> Node {
        let and = |one: Node, other: Node| one.and(other, &self.schedule);
        self.fold(positions, Node::default(), |node| *node, and)
    }

    /// What is known of all hours.
    pub(in crate::history) fn all(&self) -> Node {
        self.node(1)
    }

    /// The summary of the hours at some positions; the same as of [`Index::sum`], in less time.
    pub(in crate::history) fn summary(&self, positions: Range<usize>) -> Summary {
        let and = |one: Summary, other| one.and(other, &self.schedule);
        self.fold(positions, Summary::default(), |node| node.summary, and)
    }

    /// Count and sum of the hours at some positions; the same as of [`Index::sum`], in a fraction
    /// of the time.
    pub(in crate::history) fn total(&self, positions: Range<usize>) -> Total {
        self.fold(positions, Total::default(), |node| node.summary.total(), Total::and)
    }

    /// How long the prices of the hours at some positions were valid, each for at most `hold`
    /// microseconds. `of_hour` is asked for hours in which samples are further from each other.
    pub(in crate::history) fn held<E>(
        &self,
        positions: &Range<usize>,
        hold: i64,
        of_hour: &impl Fn(usize) -> Result<Held, E>,
    ) -> Result<Held, E> {
        self.held_below(1, 0..self.width(), positions, hold, of_hour)
    }

    /// The same of the node `at`, which is of the hours at the positions `own`.
    fn held_below<E>(
        &self,
        at: usize,
        own: Range<usize>,
        positions: &Range<usize>,
        hold: i64,
        of_hour: &impl Fn(usize) -> Result<Held, E>,
    ) -> Result<Held, E> {
        let node = self.node(at);
        let Some(extremes) = node.summary.extremes else { return Ok(Held::none(hold)) };
        if own.end <= positions.start || positions.end <= own.start {
            return Ok(Held::none(hold));
        }
        let is_inside = positions.start <= own.start && own.end <= positions.end;
        if is_inside && node.profile.longest <= hold {
            return Ok(Held::of_profile(hold, &node.profile, extremes.first, extremes.last));
        }
        if own.len() == 1 {
            return of_hour(own.start);
        }
        let middle = own.start + own.len() / 2;
        let left = self.held_below(2 * at, own.start..middle, positions, hold, of_hour)?;
        let right = self.held_below(2 * at + 1, middle..own.end, positions, hold, of_hour)?;
        Ok(left.and(right))
    }

    /// The first of some positions whose hour `is` what is looked for. A stretch of hours must be it
    /// where one of the hours is.
    pub(in crate::history) fn first(
        &self,
        positions: &Range<usize>,
        is: &impl Fn(&Node) -> bool,
    ) -> Option<usize> {
        self.first_below(1, 0..self.width(), positions, is)
    }

    fn first_below(
        &self,
        at: usize,
        own: Range<usize>,
        positions: &Range<usize>,
        is: &impl Fn(&Node) -> bool,
    ) -> Option<usize> {
        let is_outside = own.end <= positions.start || positions.end <= own.start;
        if is_outside || !is(&self.node(at)) {
            return None;
        }
        if own.len() == 1 {
            return Some(own.start);
        }
        let middle = own.start + own.len() / 2;
        self.first_below(2 * at, own.start..middle, positions, is)
            .or_else(|| self.first_below(2 * at + 1, middle..own.end, positions, is))
    }

    /// The first position up to and including which the hours are `enough`, and what is known of
    /// the hours before it. `enough` stays true once it is.
    pub(in crate::history) fn find(&self, enough: impl Fn(&Node) -> bool) -> Option<(usize, Node)> {
        let mut before = Node::default();
        if !enough(&self.node(1)) {
            return None;
        }
        let mut at = 1;
        while at < self.width() {
            let with_left = before.and(self.node(2 * at), &self.schedule);
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
        zero: T,
        of: impl Fn(&Node) -> T,
        and: impl Fn(T, T) -> T,
    ) -> T {
        let (mut left, mut right) = (zero, zero);
        let (mut from, mut until) = (positions.start + self.width(), positions.end + self.width());
        while from < until {
            if from % 2 == 1 {
                left = self.tree.get(from).map_or(left, |node| and(left, of(node)));
                from += 1;
            }
            if until % 2 == 1 {
                until -= 1;
                right = self.tree.get(until).map_or(right, |node| and(of(node), right));
            }
            from /= 2;
            until /= 2;
        }
        and(left, right)
    }
}
