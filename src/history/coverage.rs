//! Coverage and gaps of a range, derived from the samples. The reasons of missed slots come from the
//! store.

use super::{
    Answered, History, HistoryError,
    view::{HourError, View},
};
use crate::domain::{
    Coverage, Expected, Extremes, Gap, MissedByReason, MissedSlots, Order, Page, PageNumber,
    PageSize, Summary, TimeRange, Timestamp, UnixTime,
};

/// The slots of a range that are expected to have a sample: those that begin in the unix seconds
/// `[from, until)`.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: i64,
    until: i64,
    /// The first second of the current slot.
    open: i64,
}

/// The unix seconds `[from, until)`, such as those of a gap.
type Seconds = (i64, i64);

impl History {
    /// Returns how much of a range was recorded, as of the unix second `now`.
    ///
    /// # Errors
    /// See [`HistoryError`]. Also returns an error if the reasons cannot be read from Redis.
    pub async fn coverage(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Answered<Coverage>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let counted = self.query(end, |view| view.coverage(range, now)).await?;
        let Some((closed, mut coverage)) = counted.value else {
            return Ok(Answered { value: Coverage::default(), until: counted.until });
        };
        let ended = coverage.expected - coverage.pending;
        let missed = ended.saturating_sub(coverage.recorded);
        if missed > 0 {
            let reasons = self.store().missed_by_reason(&[closed]).await?;
            coverage.missed =
                MissedSlots::new(missed, reasons.first().copied().unwrap_or_default());
        }
        Ok(Answered { value: coverage, until: counted.until })
    }

    /// Returns the coverage without reasons: all missed slots count as not scheduled.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn coverage_without_reasons(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Answered<Coverage>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let Answered { value, until } = self.query(end, |view| view.coverage(range, now)).await?;
        let mut coverage = value.map(|(_, coverage)| coverage).unwrap_or_default();
        let ended = coverage.expected - coverage.pending;
        coverage.missed =
            MissedSlots::new(ended.saturating_sub(coverage.recorded), MissedByReason::default());
        Ok(Answered { value: coverage, until })
    }

    /// Returns one page of the gaps of a range, as of the unix second `now`; `None` past the last page. A gap
    /// that begins or ends outside of the range is cut at its ends.
    ///
    /// # Errors
    /// See [`HistoryError`]. Also returns an error if the reasons cannot be read from Redis.
    pub async fn gaps(
        &self,
        range: &TimeRange,
        now: i64,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Answered<Option<Page<Gap>>>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let found = self.query(end, |view| view.gaps(range, now, page, size, order)).await?;
        let Some((page, slots)) = found.value else {
            return Ok(Answered { value: None, until: found.until });
        };
        let reasons = self.store().missed_by_reason(&page.items).await?;
        let gap = |(((from, until), slots), reasons)| Gap {
            from,
            until,
            missed: MissedSlots::new(slots, reasons),
        };
        let mut items: Vec<Gap> = page.items.into_iter().zip(slots).zip(reasons).map(gap).collect();
        order.sort(&mut items);
        let Page { count, number, pages, .. } = page;
        Ok(Answered { value: Some(Page { count, number, pages, items }), until: found.until })
    }

    /// Returns the last second of the slot in which a range ends, as of the unix second `now`: whether that
    /// slot was recorded depends on all samples until then.
    pub(super) fn end_of_slot(&self, range: &TimeRange, now: i64) -> Option<UnixTime> {
        let until = range.until()?.second().min(now);
        let state = self.state.read();
        let end =
            state.index.as_ref().map_or(until, |index| index.schedule().slot(until).end() - 1);
        Some(UnixTime::from_seconds(end))
    }
}

impl View<'_> {
    /// Returns the coverage without reasons, and the seconds of the slots that have ended.
    pub(super) fn coverage(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Option<(Seconds, Coverage)>, HourError> {
        let Some(window) = self.window(range, now) else { return Ok(None) };
        let closed = (window.from, window.until.min(window.open).max(window.from));
        let mut recorded = self.summary_of_seconds(closed.0, closed.1)?.slots;
        let mut expected = self.index.schedule().count(closed.0, closed.1);
        let mut pending = 0;
        if window.until > window.open {
            let is_recorded = self.summary_of_seconds(window.open, window.until)?.count > 0;
            expected += 1;
            recorded += u64::from(is_recorded);
            pending = u64::from(!is_recorded);
        }
        let coverage = Coverage { expected, recorded, missed: MissedSlots::default(), pending };
        Ok(Some((closed, coverage)))
    }

    /// Returns a page of gaps, oldest first, and the number of slots of each gap.
    #[allow(clippy::type_complexity, reason = "destructured by the only caller")]
    fn gaps(
        &self,
        range: &TimeRange,
        now: i64,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Option<(Page<Seconds>, Vec<u64>)>, HourError> {
        let Some(Window { from, until, open }) = self.window(range, now) else {
            return Ok(page
                .locate(0, size)
                .map(|(number, pages)| (Page::empty(number, pages), Vec::new())));
        };
        let until = until.min(open).max(from);
        let inside = self.summary_of_seconds(from, until)?;
        let (head, tail) = self.ends(from, until, &inside);
        let count = u64::from(head.is_some()) + inside.gaps + u64::from(tail.is_some());
        let Some((number, pages)) = page.locate(count, size) else { return Ok(None) };
        let places = order.places(count, number, size);
        let mut items: Vec<Seconds> = head.filter(|_| places.start == 0).into_iter().collect();
        let heads = u64::from(head.is_some());
        let skipped = places.start.saturating_sub(heads);
        let wanted = places.end.saturating_sub(heads).min(inside.gaps).saturating_sub(skipped);
        if wanted > 0 {
            let before = self.before_second(from)?;
            let first_inside = inside.extremes.map(|extremes| Summary::of_one(extremes.first.0, 0));
            let earlier =
                before.merge(first_inside.unwrap_or_default(), self.index.schedule()).gaps;
            self.list_gaps(earlier + skipped, wanted, &mut items)?;
        }
        items.extend(tail.filter(|_| places.end == count));
        let slots = items.iter().map(|(from, until)| self.index.schedule().count(*from, *until));
        let slots = slots.collect();
        Ok(Some((Page { count, number, pages, items }, slots)))
    }

    /// Returns the gap before the first sample in the seconds `[from, until)` and the gap after the last one.
    fn ends(&self, from: i64, until: i64, inside: &Summary) -> (Option<Seconds>, Option<Seconds>) {
        let is_gap = |(from, until): &Seconds| from < until;
        let Some(Extremes { first, last, .. }) = inside.extremes else {
            return (Some((from, until)).filter(is_gap), None);
        };
        let slot =
            |(timestamp, _): (Timestamp, i64)| self.index.schedule().slot(timestamp.second());
        let head = Some((from, slot(first).start())).filter(is_gap);
        (head, Some((slot(last).end(), until)).filter(is_gap))
    }

    /// Appends the gaps between samples to `found`: `count` of them, after the first `skipped` ones.
    fn list_gaps(
        &self,
        skipped: u64,
        count: u64,
        found: &mut Vec<Seconds>,
    ) -> Result<(), HourError> {
        let schedule = self.index.schedule();
        let (mut next, end) = (skipped, skipped + count);
        while next < end {
            let found_hour = self.index.find(|node| node.summary.gaps > next);
            let Some((position, before)) = found_hour else { break };
            let (mut number, mut last) = (before.summary.gaps, before.summary.extremes);
            let hour = self.hour(position)?;
            for (timestamp, price) in hour.points(0..hour.len()) {
                let slot = schedule.slot(timestamp.second());
                let gap =
                    last.map(|last| (schedule.slot(last.last.0.second()).end(), slot.start()));
                if let Some((from, until)) = gap.filter(|(from, until)| from < until) {
                    if (next..end).contains(&number) {
                        found.push((from, until));
                    }
                    number += 1;
                }
                last = Summary::of_one(timestamp, price).extremes;
            }
            next = number.max(next + 1);
        }
        Ok(())
    }

    /// Returns which slots are expected, as of the unix second `now`; `None` if nothing was ever recorded.
    pub(super) fn expected(&self, now: i64) -> Option<Expected> {
        let first = self.index.all().summary.extremes?.first;
        let schedule = self.index.schedule();
        let since = schedule.slot(first.0.second()).start();
        Some(Expected { since, open: schedule.slot(now).start() })
    }

    /// Returns the expected slots of a range: whole slots, from the first one ever recorded up to the current
    /// one. `None` if there are none.
    fn window(&self, range: &TimeRange, now: i64) -> Option<Window> {
        let expected = self.expected(now)?;
        let schedule = self.index.schedule();
        let open = schedule.slot(now);
        let since = range.since().unwrap_or(UnixTime::MIN).second_at_or_after();
        let until = range.until().unwrap_or(UnixTime::MAX).second();
        let from = schedule.first_start(since).max(expected.since);
        let until = schedule.slot(until).end().min(open.end());
        (from < until).then_some(Window { from, until, open: open.start() })
    }
}
