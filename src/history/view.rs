//! Queries on the index. Functions in this module neither wait nor change the samples.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::index::{Columns, Entry, Index};
use crate::{
    domain::{
        Extremes, Observation, Order, Page, PageNumber, PageSize, Point, Summary, TimeRange,
        Timestamp, Total, UnixTime,
    },
    store::{Hour, Row},
};

/// The index during one query.
pub(super) struct View<'a> {
    pub(super) index: &'a Index,
    /// The hours that were read for this query because they were not in memory.
    pub(super) fetched: &'a HashMap<i64, Arc<Columns>>,
    /// The current time, recorded as the time of use of hours.
    pub(super) now: u32,
}

/// Why a query cannot be answered from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HourError {
    /// The samples of the hour that begins at this second are not in memory.
    Evicted(i64),
    /// The samples of this hour are lost.
    Damaged(i64),
}

/// A place between two samples: the position of an hour, and how many samples of that hour lie before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) position: usize,
    pub(super) offset: usize,
}

impl View<'_> {
    /// Returns the count and the sum of a range, from the part of its first hour, the whole hours (in the
    /// tree) and the part of its last hour.
    pub(super) fn total(&self, range: &TimeRange) -> Result<Total, HourError> {
        let cuts = self.cuts(range)?;
        let of_part = |hour: &Hour, part| hour.total(part);
        self.combine(cuts, of_part, |hours| self.index.total(hours), Total::merge)
    }

    /// Returns the summary of a range, computed like [`View::total`].
    pub(super) fn summary(&self, range: &TimeRange) -> Result<Summary, HourError> {
        self.summary_between(self.cuts(range)?)
    }

    /// Returns the summary of the samples in the seconds `[from, until)`.
    pub(super) fn summary_of_seconds(&self, from: i64, until: i64) -> Result<Summary, HourError> {
        self.summary_between(self.cuts_of_seconds(from, until)?)
    }

    pub(super) fn summary_between(&self, cuts: [Cut; 2]) -> Result<Summary, HourError> {
        let [since, until] = cuts;
        // One whole hour, such as a candle of one hour.
        if since.offset == 0 && until == (Cut { position: since.position + 1, offset: 0 }) {
            let entry = self.index.entries().get(since.position);
            return Ok(entry.map(|entry| entry.node.summary).unwrap_or_default());
        }
        let schedule = self.index.schedule();
        let of_part = |hour: &Hour, part| hour.summary(part, schedule);
        let of_hours = |hours| self.index.summary(hours);
        self.combine(cuts, of_part, of_hours, |one, other| one.merge(other, schedule))
    }

    /// Returns one page of the samples of a range; `None` past the last page.
    pub(super) fn page(
        &self,
        range: &TimeRange,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Option<Page<Row>>, HourError> {
        let [since, until] = self.cuts(range)?;
        let (before, end) = (self.rank(since), self.rank(until));
        let count = end - before;
        let Some((number, pages)) = page.locate(count, size) else { return Ok(None) };
        let places = order.places(count, number, size);
        let mut items = Vec::with_capacity(usize::try_from(size.get().min(count)).unwrap_or(0));
        self.for_each_hour(before + places.start..before + places.end, |hour, part| {
            items.extend(hour.rows(part));
        })?;
        order.sort(&mut items);
        Ok(Some(Page { count, number, pages, items }))
    }

    /// Returns the price of the last sample in a unix second, in 1/10000 peso.
    pub(super) fn price_at(&self, second: i64) -> Result<Option<i64>, HourError> {
        let summary = self.summary_of_seconds(second, second + 1)?;
        Ok(summary.extremes.map(|Extremes { last: (_, price), .. }| price))
    }

    /// Returns the latest sample.
    pub(super) fn latest(&self) -> Result<Option<Observation>, HourError> {
        self.last_before(Cut { position: self.index.entries().len(), offset: 0 })
    }

    /// Returns the last sample at or before a time.
    pub(super) fn last_until(&self, at: UnixTime) -> Result<Option<Observation>, HourError> {
        self.last_before(self.cut(at.as_score().next_up())?)
    }

    fn last_before(&self, cut: Cut) -> Result<Option<Observation>, HourError> {
        let Some((hour, offset)) = self.hour_before(cut)? else { return Ok(None) };
        Ok(hour.observations(offset..offset + 1).pop())
    }

    /// Returns the time and the price of the last sample before a cut.
    pub(super) fn point_before(&self, cut: Cut) -> Result<Option<Point>, HourError> {
        let Some((hour, offset)) = self.hour_before(cut)? else { return Ok(None) };
        Ok(hour.points(offset..offset + 1).next())
    }

    /// Returns the time and the price of the first sample after a cut.
    pub(super) fn point_after(&self, cut: Cut) -> Result<Option<Point>, HourError> {
        let later = self.index.entries().iter().enumerate().skip(cut.position);
        let has_more = |(position, entry): &(usize, &Entry)| {
            let skipped = if *position == cut.position { cut.offset as u64 } else { 0 };
            entry.node.summary.count > skipped || entry.node.damaged > 0
        };
        let mut later = later.filter(has_more);
        let Some((position, _)) = later.next() else { return Ok(None) };
        let offset = if position == cut.position { cut.offset } else { 0 };
        Ok(self.hour(position)?.points(offset..offset + 1).next())
    }

    /// Returns the hour of the last sample before a cut, and the index of the sample in it.
    fn hour_before(&self, cut: Cut) -> Result<Option<(&Hour, usize)>, HourError> {
        if let Some(offset) = cut.offset.checked_sub(1) {
            return Ok(Some((self.hour(cut.position)?, offset)));
        }
        let has_samples = |entry: &Entry| entry.node.summary.count > 0 || entry.node.damaged > 0;
        let earlier = self.index.entries().get(..cut.position).unwrap_or_default();
        let Some(position) = earlier.iter().rposition(has_samples) else { return Ok(None) };
        let hour = self.hour(position)?;
        Ok(hour.len().checked_sub(1).map(|offset| (hour, offset)))
    }

    /// Calls `visit` for each hour that has samples of the given ranks, with their indexes in the hour.
    pub(super) fn for_each_hour(
        &self,
        ranks: Range<u64>,
        mut visit: impl FnMut(&Hour, Range<usize>),
    ) -> Result<(), HourError> {
        if ranks.is_empty() {
            return Ok(());
        }
        let found = self.index.find(|node| node.summary.count > ranks.start);
        let Some((first, before)) = found else { return Ok(()) };
        let mut rank = before.summary.count;
        for (position, entry) in self.index.entries().iter().enumerate().skip(first) {
            let end = rank + entry.node.summary.count;
            if entry.node.summary.count > 0 {
                let index = |at: u64| usize::try_from(at.clamp(rank, end) - rank).unwrap_or(0);
                visit(self.hour(position)?, index(ranks.start)..index(ranks.end));
            }
            rank = end;
            if rank >= ranks.end {
                break;
            }
        }
        Ok(())
    }

    /// Returns the ranks of the samples of a range.
    pub(super) fn ranks(&self, range: &TimeRange) -> Result<Range<u64>, HourError> {
        let [since, until] = self.cuts(range)?;
        Ok(self.rank(since)..self.rank(until))
    }

    /// Returns the summary of the samples before a unix second.
    pub(super) fn before_second(&self, second: i64) -> Result<Summary, HourError> {
        let start = Cut { position: 0, offset: 0 };
        self.summary_between([start, self.cut(Timestamp::from_second(second).score())?])
    }

    /// Returns the samples of the hour at a position.
    pub(super) fn hour(&self, position: usize) -> Result<&Hour, HourError> {
        let Some(entry) = self.index.entries().get(position) else {
            return Err(HourError::Evicted(0));
        };
        if entry.node.damaged > 0 {
            return Err(HourError::Damaged(entry.start));
        }
        let columns = entry.columns.as_ref().or_else(|| self.fetched.get(&entry.start));
        let columns = columns.ok_or(HourError::Evicted(entry.start))?;
        columns.touch(self.now);
        Ok(&columns.hour)
    }

    /// Returns the cuts at the ends of a range.
    pub(super) fn cuts(&self, range: &TimeRange) -> Result<[Cut; 2], HourError> {
        let since = range.since().map_or(f64::NEG_INFINITY, UnixTime::as_score);
        let until = range.until().map_or(f64::INFINITY, |time| time.as_score().next_up());
        self.checked([self.cut(since)?, self.cut(until)?])
    }

    /// Returns the cuts at the ends of the seconds `[from, until)`.
    pub(super) fn cuts_of_seconds(&self, from: i64, until: i64) -> Result<[Cut; 2], HourError> {
        let cut = |second| self.cut(Timestamp::from_second(second).score());
        self.checked([cut(from)?, cut(until.max(from))?])
    }

    /// Returns the cuts; an error if an hour between them is damaged.
    pub(super) fn checked(&self, cuts: [Cut; 2]) -> Result<[Cut; 2], HourError> {
        if self.index.all().damaged > 0 {
            let [since, until] = cuts;
            let between = self
                .index
                .entries()
                .get(since.position..until.position + usize::from(until.offset > 0));
            let damaged = between.into_iter().flatten().find(|entry| entry.node.damaged > 0);
            if let Some(entry) = damaged {
                return Err(HourError::Damaged(entry.start));
            }
        }
        Ok(cuts)
    }

    /// Returns the cut before the first sample whose score is at least `score`.
    pub(super) fn cut(&self, score: f64) -> Result<Cut, HourError> {
        self.cut_in(self.index.position_at(score), score)
    }

    /// Returns the same as [`View::cut`], given the position of the first hour that ends after the score.
    pub(super) fn cut_in(&self, position: usize, score: f64) -> Result<Cut, HourError> {
        let Some(entry) = self.index.entries().get(position) else {
            return Ok(Cut { position, offset: 0 });
        };
        let offset = match entry.node.summary.extremes {
            // `checked` finds damaged hours.
            None => usize::from(
                entry.node.damaged > 0 && Timestamp::from_second(entry.start).score() < score,
            ),
            Some(extremes) if score <= extremes.first.0.score() => 0,
            Some(extremes) if score > extremes.last.0.score() => {
                return Ok(Cut { position: position + 1, offset: 0 });
            }
            Some(_) => self.hour(position)?.before(score),
        };
        Ok(Cut { position, offset })
    }

    /// Returns the number of samples before a cut.
    pub(super) fn rank(&self, cut: Cut) -> u64 {
        self.index.total(0..cut.position).count + cut.offset as u64
    }

    /// Combines the values of the samples between two cuts: of the part of the first hour, of the whole
    /// hours, and of the part of the last hour.
    pub(super) fn combine<T: Default>(
        &self,
        [since, until]: [Cut; 2],
        of_part: impl Fn(&Hour, Range<usize>) -> T,
        of_hours: impl Fn(Range<usize>) -> T,
        merge: impl Fn(T, T) -> T,
    ) -> Result<T, HourError> {
        let part = |position, offsets: Range<usize>| {
            if offsets.is_empty() {
                Ok(T::default())
            } else {
                Ok(of_part(self.hour(position)?, offsets))
            }
        };
        if since.position >= until.position {
            return part(until.position, since.offset..until.offset);
        }
        let (head, first) = if since.offset == 0 {
            (T::default(), since.position)
        } else {
            let length = self.hour(since.position)?.len();
            (part(since.position, since.offset..length)?, since.position + 1)
        };
        let tail = part(until.position, 0..until.offset)?;
        Ok(merge(merge(head, of_hours(first..until.position)), tail))
    }
}
