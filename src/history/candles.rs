//! Candles: what the samples of each interval of a range come to.

use super::{
    History, HistoryError, Known,
    view::{Cut, Miss, View},
};
use crate::domain::{
    Candle, Candles, Expected, Extremes, Missed, Order, Summary, TimeRange, Timestamp, UnixTime,
};

/// Candles for which there is room from the beginning.
const ROOM: usize = 1000;
/// Stretches whose reasons are asked for in one request.
const STRETCHES: usize = 200;

impl History {
    /// The candles of the intervals that have a moment of a range in them, as of the unix second `now`,
    /// and a second of the next one if there are more than were wanted.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn candles(
        &self,
        range: &TimeRange,
        wanted: &Candles,
        now: i64,
    ) -> Result<Known<(Vec<Candle>, Option<i64>)>, HistoryError> {
        let end = range.until().map(|until| end_of_candle(until, wanted, now));
        self.ask(end, |view| view.candles(range, wanted, now)).await
    }

    /// Adds the reasons of the missed slots of candles, as of the unix second `now`.
    ///
    /// # Errors
    /// If Redis cannot tell the reasons.
    pub async fn explain(&self, candles: &mut [Candle], now: i64) -> Result<(), HistoryError> {
        for candles in candles.chunks_mut(STRETCHES) {
            let with_missed = candles.iter().filter(|candle| candle.missed > 0);
            let stretches: Vec<(i64, i64)> =
                with_missed.map(|candle| (candle.start, candle.end.min(now))).collect();
            let mut told = self.store().missed_by_reason(&stretches).await?.into_iter();
            for candle in candles {
                let told = if candle.missed > 0 { told.next() } else { None };
                candle.reasons = Some(Missed::of(candle.missed, told.unwrap_or_default()));
            }
        }
        Ok(())
    }
}

/// The last second of the interval that a range ends in, as of the unix second `now`: its candle depends on
/// all samples until then.
fn end_of_candle(until: UnixTime, wanted: &Candles, now: i64) -> UnixTime {
    // What is later than now is not known, however late.
    let until = until.second().min(now);
    let Candles { interval, zone, .. } = *wanted;
    UnixTime::from_seconds(interval.end_of(interval.start_of(until, zone), zone) - 1)
}

/// The intervals of a range, one after the other.
struct Walk<'a> {
    wanted: &'a Candles,
    /// The first and the last second that may have a candle.
    bounds: (i64, i64),
    /// A second of the interval that comes next.
    cursor: i64,
}

impl Walk<'_> {
    /// The seconds of the next interval, if there is one.
    fn interval(&self) -> Option<(i64, i64)> {
        let (first, last) = self.bounds;
        if !(first..=last).contains(&self.cursor) {
            return None;
        }
        let Candles { interval, zone, .. } = *self.wanted;
        let start = interval.start_of(self.cursor, zone);
        Some((start, interval.end_of(start, zone)))
    }

    /// A second of the next interval that lies in the range.
    fn next_within(&self, range: &TimeRange) -> i64 {
        match (self.wanted.order, range.since(), range.until()) {
            (Order::Ascending, _, Some(until)) => self.cursor.min(until.second()),
            (Order::Descending, Some(since), _) => self.cursor.max(since.second_at_or_after()),
            _ => self.cursor,
        }
    }

    /// Goes on to the interval after this one, or to that of a second further on.
    fn go_on(&mut self, (start, end): (i64, i64), to: Option<i64>) {
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
    ) -> Result<(Vec<Candle>, Option<i64>), Miss> {
        let mut candles = Vec::with_capacity(wanted.limit.min(ROOM));
        let Some(expected) = self.expected(now) else { return Ok((candles, None)) };
        let Some(mut walk) = self.walk(range, wanted, now) else { return Ok((candles, None)) };
        let mut last_cut: Option<(i64, Cut)> = None;
        while let Some((start, end)) = walk.interval() {
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
                let Some(to) = self.nearest(from, until, wanted.order)? else { break };
                walk.go_on((start, end), Some(to));
                continue;
            }
            if candles.len() == wanted.limit {
                return Ok((candles, Some(walk.next_within(range))));
            }
            candles.push(self.candle((start, end), summary, filled, expected));
            walk.go_on((start, end), None);
        }
        Ok((candles, None))
    }

    /// The intervals of a range from the first sample of all on; up to the last one, or up to now if
    /// they are to be filled.
    fn walk<'a>(&self, range: &TimeRange, wanted: &'a Candles, now: i64) -> Option<Walk<'a>> {
        let Extremes { first, last, .. } = self.index.all().summary.extremes?;
        let Candles { interval, zone, filled, order, .. } = *wanted;
        let newest = if filled { now.max(last.0.second()) } else { last.0.second() };
        let since =
            range.since().map_or(first.0.second(), |since| since.second().max(first.0.second()));
        let until = range.until().map_or(newest, |until| until.second().min(newest));
        // Whole intervals, also those that the range has only a part of.
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
        Some(Walk { wanted, bounds, cursor })
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
        // The slot that is still open may have its sample already.
        let is_taken = summary.extremes.is_some_and(|it| it.last.0.second() >= expected.open);
        let recorded = summary.slots - u64::from(is_taken && slots > ended);
        let missed = ended.saturating_sub(recorded);
        Candle { start, end, summary, filled, expected: slots, missed, reasons: None }
    }

    /// The second of the sample that comes next after an interval without samples.
    fn nearest(&self, from: Cut, until: Cut, order: Order) -> Result<Option<i64>, Miss> {
        let point = match order {
            Order::Ascending => self.point_after(until)?,
            Order::Descending => self.point_before(from)?,
        };
        Ok(point.map(|(timestamp, _)| timestamp.second()))
    }

    fn cut_at(&self, second: i64) -> Result<Cut, Miss> {
        self.cut(Timestamp::from_second(second).score())
    }
}
