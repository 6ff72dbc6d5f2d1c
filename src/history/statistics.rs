//! Statistics of the samples of a range, including the mean weighted by time and when the price was lowest
//! and highest.

use std::ops::Range;

use super::{
    Answered, History, HistoryError,
    index::Node,
    view::{Cut, HourError, View},
};
use crate::{
    domain::{Coverage, Extremes, Point, Summary, TimeRange, TimeWeighted, Timestamp, UnixTime},
    store::Hour,
};

/// The statistics of the samples of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The count, the sum, the extremes, the first and the last sample.
    pub summary: Summary,
    /// The standard deviation in pesos; `None` if there are no samples.
    pub standard_deviation: Option<f64>,
    /// The first sample with the lowest price.
    pub lowest: Option<Point>,
    /// The first sample with the highest price.
    pub highest: Option<Point>,
    /// The prices weighted by time.
    pub time_weighted: WeightedRange,
    /// The coverage of the range, without reasons.
    pub coverage: Coverage,
}

/// The prices of a range weighted by time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedRange {
    /// The number of samples in the range.
    pub count: u64,
    /// The prices and how long they were valid.
    pub prices: TimeWeighted,
    /// The length of the range up to now, in microseconds.
    pub length: i64,
}

impl WeightedRange {
    /// Returns the share of the range in which a price was valid, 0 to 1; `None` if the range has no length.
    pub fn share(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a share of few digits")]
        (self.length > 0).then(|| self.prices.covered as f64 / self.length as f64)
    }
}

impl History {
    /// Returns the statistics of a range, as of the unix second `now`. A price is valid until the next
    /// sample, but for at most `hold` microseconds.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn statistics(
        &self,
        range: &TimeRange,
        hold: i64,
        now: i64,
    ) -> Result<Answered<Statistics>, HistoryError> {
        self.query(self.end_of_slot(range, now), |view| view.statistics(range, hold, now)).await
    }

    /// Returns the prices of a range weighted by time, as in [`History::statistics`].
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn weighted(
        &self,
        range: &TimeRange,
        hold: i64,
        now: i64,
    ) -> Result<Answered<WeightedRange>, HistoryError> {
        self.query(range.until(), |view| view.weighted(range, hold, now)).await
    }
}

impl View<'_> {
    fn statistics(&self, range: &TimeRange, hold: i64, now: i64) -> Result<Statistics, HourError> {
        let cuts = self.cuts(range)?;
        let schedule = self.index.schedule();
        let of_part = |hour: &Hour, part: Range<usize>| {
            let points: Vec<Point> = hour.points(part).collect();
            Node::of_points(&points, schedule)
        };
        let of_hours = |hours| self.index.sum(hours);
        let node =
            self.combine(cuts, of_part, of_hours, |one, other| one.merge(other, schedule))?;
        let Node { summary, spread, .. } = node;
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
            standard_deviation: spread.standard_deviation(summary.count, summary.sum),
            lowest,
            highest,
            time_weighted: self.weighted(range, hold, now)?,
            coverage: coverage.unwrap_or_default(),
        })
    }

    fn weighted(&self, range: &TimeRange, hold: i64, now: i64) -> Result<WeightedRange, HourError> {
        let [since, until] = self.cuts(range)?;
        let whole = |position: usize| {
            let hour = self.hour(position)?;
            Ok(time_weighted(hour, 0..hour.len(), hold))
        };
        let prices = if since.position == until.position {
            self.weighted_part(since.position, since.offset..until.offset, hold)?
        } else {
            let tail = self.weighted_part(until.position, 0..until.offset, hold)?;
            let is_cut = since.offset > 0;
            let head = if is_cut {
                let length = self.hour(since.position)?.len();
                self.weighted_part(since.position, since.offset..length, hold)?
            } else {
                TimeWeighted::none(hold)
            };
            let hours = since.position + usize::from(is_cut)..until.position;
            head.merge(self.index.time_weighted(&hours, hold, &whole)?).merge(tail)
        };
        let micros =
            |time: UnixTime| Timestamp::from_score(time.as_score()).map_or(0, Timestamp::micros);
        let now = micros(UnixTime::from_seconds(now));
        let first = self.index.all().summary.extremes.map_or(now, |all| all.first.0.micros());
        let begin = range.since().map_or(first, micros);
        let end = range.until().map_or(now, micros).min(now);
        let prices = prices.between(begin, end, self.point_before(since)?);
        let count = self.rank(until) - self.rank(since);
        Ok(WeightedRange { count, prices, length: (end - begin).max(0) })
    }

    fn weighted_part(
        &self,
        position: usize,
        part: Range<usize>,
        hold: i64,
    ) -> Result<TimeWeighted, HourError> {
        if part.is_empty() {
            return Ok(TimeWeighted::none(hold));
        }
        Ok(time_weighted(self.hour(position)?, part, hold))
    }

    /// Returns the first sample between two cuts whose price `matches`. `may_match` returns whether hours
    /// with the given extremes may have such a price.
    fn first_point(
        &self,
        [since, until]: [Cut; 2],
        matches: impl Fn(i64) -> bool,
        may_match: impl Fn(&Extremes) -> bool,
    ) -> Result<Option<Point>, HourError> {
        let in_part = |position: usize, part: Range<usize>| {
            if part.is_empty() {
                return Ok(None);
            }
            Ok(self.hour(position)?.points(part).find(|(_, price)| matches(*price)))
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
        let node_may_match = |node: &Node| node.summary.extremes.as_ref().is_some_and(&may_match);
        match self.index.first(&(first..until.position), &node_may_match) {
            Some(position) => in_part(position, 0..self.hour(position)?.len()),
            None => in_part(until.position, 0..until.offset),
        }
    }
}

fn time_weighted(hour: &Hour, part: Range<usize>, hold: i64) -> TimeWeighted {
    TimeWeighted::of(hold, hour.points(part))
}
