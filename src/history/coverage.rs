//! Which slots have samples, and which stretches of slots have none: derived from the samples. The
//! reasons of missed slots come from the store.

use super::{
    History, HistoryError, Known,
    view::{Miss, View},
};
use crate::domain::{
    ByReason, Coverage, Expected, Extremes, Gap, Missed, Order, Page, PageNumber, PageSize,
    Summary, TimeRange, Timestamp, UnixTime,
};

/// The slots of a range that count: those that begin in the unix seconds `[from, until)`, and the
/// current one.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: i64,
    until: i64,
    /// The first second of the current slot.
    open: i64,
}

/// A stretch of missed slots: the seconds `[from, until)`.
type Stretch = (i64, i64);

impl History {
    /// How much of a range was recorded, as of the unix second `now`.
    ///
    /// # Errors
    /// As the other questions, and if Redis cannot tell the reasons.
    pub async fn coverage(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Known<Coverage>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let counted = self.ask(end, |view| view.coverage(range, now)).await?;
        let Some((closed, mut coverage)) = counted.value else {
            return Ok(Known { value: Coverage::default(), until: counted.until });
        };
        let ended = coverage.expected - coverage.pending;
        let missed = ended.saturating_sub(coverage.recorded);
        if missed > 0 {
            let reasons = self.store().missed_by_reason(&[closed]).await?;
            coverage.missed = Missed::of(missed, reasons.first().copied().unwrap_or_default());
        }
        Ok(Known { value: coverage, until: counted.until })
    }

    /// The same without the reasons: all missed slots count as not scheduled.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn counted(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Known<Coverage>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let Known { value, until } = self.ask(end, |view| view.coverage(range, now)).await?;
        let mut coverage = value.map(|(_, coverage)| coverage).unwrap_or_default();
        let ended = coverage.expected - coverage.pending;
        coverage.missed = Missed::of(ended.saturating_sub(coverage.recorded), ByReason::default());
        Ok(Known { value: coverage, until })
    }

    /// One page of the gaps of a range, as of the unix second `now`; `None` past the end. A gap that
    /// begins or ends outside of the range is cut.
    ///
    /// # Errors
    /// As the other questions, and if Redis cannot tell the reasons.
    pub async fn gaps(
        &self,
        range: &TimeRange,
        now: i64,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Known<Option<Page<Gap>>>, HistoryError> {
        let end = self.end_of_slot(range, now);
        let found = self.ask(end, |view| view.gaps(range, now, page, size, order)).await?;
        let Some((page, slots)) = found.value else {
            return Ok(Known { value: None, until: found.until });
        };
        let reasons = self.store().missed_by_reason(&page.items).await?;
        let gap = |(((from, until), slots), reasons)| Gap {
            from,
            until,
            missed: Missed::of(slots, reasons),
        };
        let mut items: Vec<Gap> = page.items.into_iter().zip(slots).zip(reasons).map(gap).collect();
        order.sort(&mut items);
        let Page { count, number, pages, .. } = page;
        Ok(Known { value: Some(Page { count, number, pages, items }), until: found.until })
    }

    /// The last second of the slot that a range ends in, as of the unix second `now`: whether that slot was
    /// recorded depends on all samples until then.
    pub(super) fn end_of_slot(&self, range: &TimeRange, now: i64) -> Option<UnixTime> {
        let until = range.until()?.second().min(now);
        let state = self.state.read();
        let end =
            state.index.as_ref().map_or(until, |index| index.schedule().slot(until).end() - 1);
        Some(UnixTime::from_seconds(end))
    }
}

impl View<'_> {
    /// Coverage without reasons, and the seconds of the slots that have ended.
    pub(super) fn coverage(
        &self,
        range: &TimeRange,
        now: i64,
    ) -> Result<Option<(Stretch, Coverage)>, Miss> {
        let Some(window) = self.window(range, now) else { return Ok(None) };
        let closed = (window.from, window.until.min(window.open).max(window.from));
        let mut recorded = self.summary_of_seconds(closed.0, closed.1)?.slots;
        let mut expected = self.index.schedule().count(closed.0, closed.1);
        let mut pending = 0;
        if window.until > window.open {
            let is_taken = self.summary_of_seconds(window.open, window.until)?.count > 0;
            expected += 1;
            recorded += u64::from(is_taken);
            pending = u64::from(!is_taken);
        }
        let coverage = Coverage { expected, recorded, missed: Missed::default(), pending };
        Ok(Some((closed, coverage)))
    }

    /// A page of gaps, oldest first, and of each the number of its slots.
    #[allow(clippy::type_complexity, reason = "taken apart at once")]
    fn gaps(
        &self,
        range: &TimeRange,
        now: i64,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Result<Option<(Page<Stretch>, Vec<u64>)>, Miss> {
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
        let mut items: Vec<Stretch> = head.filter(|_| places.start == 0).into_iter().collect();
        let heads = u64::from(head.is_some());
        let skipped = places.start.saturating_sub(heads);
        let wanted = places.end.saturating_sub(heads).min(inside.gaps).saturating_sub(skipped);
        if wanted > 0 {
            let before = self.before_second(from)?;
            let first_inside = inside.extremes.map(|extremes| Summary::of_one(extremes.first.0, 0));
            let earlier = before.and(first_inside.unwrap_or_default(), self.index.schedule()).gaps;
            self.list_gaps(earlier + skipped, wanted, &mut items)?;
        }
        items.extend(tail.filter(|_| places.end == count));
        let slots = items.iter().map(|(from, until)| self.index.schedule().count(*from, *until));
        let slots = slots.collect();
        Ok(Some((Page { count, number, pages, items }, slots)))
    }

    /// The gaps between the ends of a stretch and the samples inside of it.
    fn ends(&self, from: i64, until: i64, inside: &Summary) -> (Option<Stretch>, Option<Stretch>) {
        let is_gap = |(from, until): &Stretch| from < until;
        let Some(Extremes { first, last, .. }) = inside.extremes else {
            return (Some((from, until)).filter(is_gap), None);
        };
        let slot =
            |(timestamp, _): (Timestamp, i64)| self.index.schedule().slot(timestamp.second());
        let head = Some((from, slot(first).start())).filter(is_gap);
        (head, Some((slot(last).end(), until)).filter(is_gap))
    }

    /// Adds some of the gaps between all samples to `found`: `count` of them, after `skipped`.
    fn list_gaps(&self, skipped: u64, count: u64, found: &mut Vec<Stretch>) -> Result<(), Miss> {
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

    /// Which slots count, as of the unix second `now`; `None` if nothing was ever recorded.
    pub(super) fn expected(&self, now: i64) -> Option<Expected> {
        let first = self.index.all().summary.extremes?.first;
        let schedule = self.index.schedule();
        let since = schedule.slot(first.0.second()).start();
        Some(Expected { since, open: schedule.slot(now).start() })
    }

    /// The part of a range that counts: whole slots, from the first one ever recorded up to the
    /// current one. `None` if there is nothing in it.
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
