//! Candles: the samples of each interval of a range, summarized.

use super::{
    Answered, History, HistoryError,
    view::{Cut, HourError, View},
};
use crate::domain::{
    Candle, Candles, Expected, Extremes, MissedSlots, Order, Summary, TimeRange, Timestamp,
    UnixTime,
};

/// The maximum number of candles for which memory is reserved in advance.
const MAX_CAPACITY: usize = 1000;
/// The number of candles whose missed slots are counted with one request.
const CANDLES_PER_REQUEST: usize = 200;

impl History {
    /// Returns the candles of the intervals that overlap a range, as of the unix second `now`, and a second
    /// of the next interval if there are more than the limit.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn candles(
        &self,
        range: &TimeRange,
        wanted: &Candles,
        now: i64,
    ) -> Result<Answered<(Vec<Candle>, Option<i64>)>, HistoryError> {
        let end = range.until().map(|until| end_of_candle(until, wanted, now));
        self.query(end, |view| view.candles(range, wanted, now)).await
    }

    /// Adds the reasons of missed slots to candles, as of the unix second `now`.
    ///
    /// # Errors
    /// Returns an error if the reasons cannot be read from Redis.
    pub async fn add_missed_reasons(
        &self,
        candles: &mut [Candle],
        now: i64,
    ) -> Result<(), HistoryError> {
        for candles in candles.chunks_mut(CANDLES_PER_REQUEST) {
            let with_missed = candles.iter().filter(|candle| candle.missed > 0);
            let ranges: Vec<(i64, i64)> =
                with_missed.map(|candle| (candle.start, candle.end.min(now))).collect();
            let mut by_reason = self.store().missed_by_reason(&ranges).await?.into_iter();
            for candle in candles {
                let missed = if candle.missed > 0 { by_reason.next() } else { None };
                candle.reasons = Some(MissedSlots::new(candle.missed, missed.unwrap_or_default()));
            }
        }
        Ok(())
    }
}

/// Returns the last second of the interval in which a range ends, as of the unix second `now`: its candle
/// depends on all samples until then.
fn end_of_candle(until: UnixTime, wanted: &Candles, now: i64) -> UnixTime {
    // Nothing is known after `now`.
    let until = until.second().min(now);
    let Candles { interval, zone, .. } = *wanted;
    UnixTime::from_seconds(interval.end_of(interval.start_of(until, zone), zone) - 1)
}

/// Iterates over the intervals of a range.
struct Intervals<'a> {
    wanted: &'a Candles,
    /// The first and the last second that can belong to a candle.
    bounds: (i64, i64),
    /// A second of the next interval.
    cursor: i64,
}

impl Intervals<'_> {
    /// Returns the next interval as the seconds `[start, end)`, if there is one.
    fn interval(&self) -> Option<(i64, i64)> {
        let (first, last) = self.bounds;
        if !(first..=last).contains(&self.cursor) {
            return None;
        }
        let Candles { interval, zone, .. } = *self.wanted;
        let start = interval.start_of(self.cursor, zone);
        Some((start, interval.end_of(start, zone)))
    }

    /// Returns a second of the next interval that lies in the range.
    fn next_within(&self, range: &TimeRange) -> i64 {
        match (self.wanted.order, range.since(), range.until()) {
            (Order::Ascending, _, Some(until)) => self.cursor.min(until.second()),
            (Order::Descending, Some(since), _) => self.cursor.max(since.second_at_or_after()),
            _ => self.cursor,
        }
    }

    /// Moves to the interval after this one, or to that of a second further on.
    fn advance(&mut self, (start, end): (i64, i64), to: Option<i64>) {
        self.cursor = match self.wanted.order {
            Order::Ascending => end.max(to.unwrap_or(end)),
            Order::Descending => (start - 1).min(to.unwrap_or(start - 1)),
        };
    }
}

impl View<'_> {
    fn candles(
        &self,
        range: &TimeRange,
        wanted: &Candles,
        now: i64,
    ) -> Result<(Vec<Candle>, Option<i64>), HourError> {
        let mut candles = Vec::with_capacity(wanted.limit.min(MAX_CAPACITY));
        let Some(expected) = self.expected(now) else { return Ok((candles, None)) };
        let Some(mut intervals) = self.intervals(range, wanted, now) else {
            return Ok((candles, None));
        };
        let mut last_cut: Option<(i64, Cut)> = None;
        while let Some((start, end)) = intervals.interval() {
            let from = match last_cut {
                Some((second, cut)) if second == start => cut,
                _ => self.cut_at(start)?,
            };
            let score = Timestamp::from_second(end).score();
            let until = self.cut_in(self.index.position_near(from.position, score), score)?;
            last_cut = Some((end, until));
            let summary = self.summary_between(self.checked([from, until])?)?;
            let filled = if summary.count == 0 && wanted.filled {
                self.point_before(from)?.map(|(_, price)| price)
            } else {
                None
            };
            if summary.count == 0 && filled.is_none() {
                let Some(to) = self.next_sample(from, until, wanted.order)? else { break };
                intervals.advance((start, end), Some(to));
                continue;
            }
            if candles.len() == wanted.limit {
                return Ok((candles, Some(intervals.next_within(range))));
            }
            candles.push(self.candle((start, end), summary, filled, expected));
            intervals.advance((start, end), None);
        }
        Ok((candles, None))
    }

    /// Returns the intervals of a range, from the first recorded sample to the last one, or to `now` if
    /// empty intervals are filled.
    fn intervals<'a>(
        &self,
        range: &TimeRange,
        wanted: &'a Candles,
        now: i64,
    ) -> Option<Intervals<'a>> {
        let Extremes { first, last, .. } = self.index.all().summary.extremes?;
        let Candles { interval, zone, filled, order, .. } = *wanted;
        let newest = if filled { now.max(last.0.second()) } else { last.0.second() };
        let since =
            range.since().map_or(first.0.second(), |since| since.second().max(first.0.second()));
        let until = range.until().map_or(newest, |until| until.second().min(newest));
        // Intervals that lie only partly in the range are included as a whole.
        let start = |second| interval.start_of(second, zone);
        let is_before = range.until().is_some_and(|until| until.second() < start(first.0.second()));
        if is_before || range.since().is_some_and(|since| start(since.second()) > newest) {
            return None;
        }
        let bounds = (start(since), interval.end_of(start(until), zone) - 1);
        let cursor = match order {
            Order::Ascending => bounds.0,
            Order::Descending => bounds.1,
        };
        Some(Intervals { wanted, bounds, cursor })
    }

    fn candle(
        &self,
        (start, end): (i64, i64),
        summary: Summary,
        filled: Option<i64>,
        expected: Expected,
    ) -> Candle {
        let schedule = self.index.schedule();
        let (slots, ended) = expected.count(start, end, schedule);
        // The open slot may have its sample already.
        let is_recorded = summary.extremes.is_some_and(|it| it.last.0.second() >= expected.open);
        let recorded = summary.slots - u64::from(is_recorded && slots > ended);
        let missed = ended.saturating_sub(recorded);
        Candle { start, end, summary, filled, expected: slots, missed, reasons: None }
    }

    /// Returns the second of the next sample after an empty interval, in the given order.
    fn next_sample(&self, from: Cut, until: Cut, order: Order) -> Result<Option<i64>, HourError> {
        let point = match order {
            Order::Ascending => self.point_after(until)?,
            Order::Descending => self.point_before(from)?,
        };
        Ok(point.map(|(timestamp, _)| timestamp.second()))
    }

    fn cut_at(&self, second: i64) -> Result<Cut, HourError> {
        self.cut(Timestamp::from_second(second).score())
    }
}
