//! What the samples of a range come to in all respects: also weighted by time, and when the price was
//! lowest and highest.

use std::ops::Range;

use super::{
    History, HistoryError, Known,
    index::Node,
    view::{Cut, Miss, View},
};
use crate::{
    domain::{Coverage, Extremes, Held, Point, Summary, TimeRange, Timestamp, UnixTime},
    store::Hour,
};

/// What the samples of a range come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Count, sum, extremes, first and last.
    pub summary: Summary,
    /// The standard deviation in pesos; `None` of no samples.
    pub standard_deviation: Option<f64>,
    /// The first of the lowest prices.
    pub lowest: Option<Point>,
    /// The first of the highest prices.
    pub highest: Option<Point>,
    /// For how long its prices were valid.
    pub held: Weighted,
    /// How many of its slots were recorded; without reasons.
    pub coverage: Coverage,
}

/// The prices of a range weighted by time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted {
    /// The number of samples in the range.
    pub count: u64,
    /// For how long the prices were valid.
    pub held: Held,
    /// The microseconds of the range, up to now.
    pub length: i64,
}

impl Weighted {
    /// The share of the range in which a price was valid, 0 to 1; `None` of a range without length.
    pub fn share(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a share of few digits")]
        (self.length > 0).then(|| self.held.covered as f64 / self.length as f64)
    }
}

impl History {
    /// What the samples of a range come to, as of the unix second `now`. A price is valid until the
    /// next sample, for at most `hold` microseconds.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn statistics(
        &self,
        range: &TimeRange,
        hold: i64,
        now: i64,
    ) -> Result<Known<Statistics>, HistoryError> {
        self.ask(self.end_of_slot(range, now), |view| view.statistics(range, hold, now)).await
    }

    /// The prices of a range weighted by time, as [`History::statistics`] has them.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn weighted(
        &self,
        range: &TimeRange,
        hold: i64,
        now: i64,
    ) -> Result<Known<Weighted>, HistoryError> {
        self.ask(range.until(), |view| view.weighted(range, hold, now)).await
    }
}

impl View<'_> {
    fn statistics(&self, range: &TimeRange, hold: i64, now: i64) -> Result<Statistics, Miss> {
        let cuts = self.cuts(range)?;
        let schedule = self.index.schedule();
        let of_part = |hour: &Hour, part: Range<usize>| {
            let points: Vec<Point> = hour.points(part).collect();
            Node::of_points(&points, schedule)
        };
        let of_hours = |hours| self.index.sum(hours);
        let node =
            self.put_together(cuts, of_part, of_hours, |one, other| one.and(other, schedule))?;
        let Node { summary, profile, .. } = node;
        let (lowest, highest) = match summary.extremes {
            None => (None, None),
            Some(it) => (
                self.first_point(cuts, |price| price <= it.min, |node| node.min <= it.min)?,
                self.first_point(cuts, |price| price >= it.max, |node| node.max >= it.max)?,
            ),
        };
        let coverage = self.coverage(range, now)?.map(|(_, coverage)| coverage);
        Ok(Statistics {
            summary,
            standard_deviation: profile.standard_deviation(summary.count, summary.sum),
            lowest,
            highest,
            held: self.weighted(range, hold, now)?,
            coverage: coverage.unwrap_or_default(),
        })
    }

    fn weighted(&self, range: &TimeRange, hold: i64, now: i64) -> Result<Weighted, Miss> {
        let [since, until] = self.cuts(range)?;
        let whole = |position: usize| {
            let hour = self.hour(position)?;
            Ok(held_of(hour, 0..hour.len(), hold))
        };
        let held = if since.position == until.position {
            self.held_part(since.position, since.offset..until.offset, hold)?
        } else {
            let tail = self.held_part(until.position, 0..until.offset, hold)?;
            let is_cut = since.offset > 0;
            let head = if is_cut {
                let length = self.hour(since.position)?.len();
                self.held_part(since.position, since.offset..length, hold)?
            } else {
                Held::none(hold)
            };
            let hours = since.position + usize::from(is_cut)..until.position;
            head.and(self.index.held(&hours, hold, &whole)?).and(tail)
        };
        let micros =
            |time: UnixTime| Timestamp::from_score(time.as_score()).map_or(0, Timestamp::micros);
        let now = micros(UnixTime::from_seconds(now));
        let first = self.index.all().summary.extremes.map_or(now, |all| all.first.0.micros());
        let begin = range.since().map_or(first, micros);
        let end = range.until().map_or(now, micros).min(now);
        let held = held.between(begin, end, self.point_before(since)?);
        let count = self.rank(until) - self.rank(since);
        Ok(Weighted { count, held, length: (end - begin).max(0) })
    }

    fn held_part(&self, position: usize, part: Range<usize>, hold: i64) -> Result<Held, Miss> {
        if part.is_empty() {
            return Ok(Held::none(hold));
        }
        Ok(held_of(self.hour(position)?, part, hold))
    }

    /// The first sample between two cuts whose price is looked for. `may_have` tells whether hours may
    /// have such a price by their extremes.
    fn first_point(
        &self,
        [since, until]: [Cut; 2],
        is: impl Fn(i64) -> bool,
        may_have: impl Fn(&Extremes) -> bool,
    ) -> Result<Option<Point>, Miss> {
        let in_part = |position: usize, part: Range<usize>| {
            if part.is_empty() {
                return Ok(None);
            }
            Ok(self.hour(position)?.points(part).find(|(_, price)| is(*price)))
        };
        if since.position == until.position {
            return in_part(since.position, since.offset..until.offset);
        }
        let mut first = since.position;
        if since.offset > 0 {
            if let Some(found) = in_part(first, since.offset..self.hour(first)?.len())? {
                return Ok(Some(found));
            }
            first += 1;
        }
        let may = |node: &Node| node.summary.extremes.as_ref().is_some_and(&may_have);
        match self.index.first(&(first..until.position), &may) {
            Some(position) => in_part(position, 0..self.hour(position)?.len()),
            None => in_part(until.position, 0..until.offset),
        }
    }
}

fn held_of(hour: &Hour, part: Range<usize>, hold: i64) -> Held {
    Held::of(hold, hour.points(part))
}
