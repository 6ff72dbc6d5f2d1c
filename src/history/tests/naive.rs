//! The naive model: all samples in one list.

use std::collections::BTreeSet;

use super::samples::point_of;
use crate::domain::{
    Extremes, Observation, Order, PageNumber, PageSize, Point, Schedule, Slot, Summary, TimeRange,
    Timestamp, UnixTime,
};

#[derive(Debug, Clone)]
pub(super) struct Naive {
    /// All samples, oldest first.
    pub(super) points: Vec<Point>,
    pub(super) schedule: Schedule,
}

impl Naive {
    pub(super) fn of(samples: &[Observation], schedule: &Schedule) -> Self {
        Self { points: samples.iter().map(point_of).collect(), schedule: schedule.clone() }
    }

    /// Returns the samples of a range.
    pub(super) fn within(&self, range: &TimeRange) -> Self {
        let since = range.since().map_or(f64::NEG_INFINITY, UnixTime::as_score);
        let until = range.until().map_or(f64::INFINITY, UnixTime::as_score);
        self.filtered(|(at, _)| (since..=until).contains(&at.score()))
    }

    /// Returns the samples in the unix seconds `[from, until)`.
    pub(super) fn of_seconds(&self, from: i64, until: i64) -> Self {
        self.filtered(|(at, _)| (from..until).contains(&at.second()))
    }

    fn filtered(&self, wanted: impl Fn(&Point) -> bool) -> Self {
        let points = self.points.iter().filter(|point| wanted(point)).copied().collect();
        Self { points, schedule: self.schedule.clone() }
    }

    fn prices(&self) -> impl Iterator<Item = i64> {
        self.points.iter().map(|(_, price)| *price)
    }

    fn slot(&self, point: &Point) -> Slot {
        self.schedule.slot(point.0.second())
    }

    pub(super) fn summary(&self) -> Summary {
        let slots: BTreeSet<Slot> = self.points.iter().map(|point| self.slot(point)).collect();
        let slots: Vec<Slot> = slots.into_iter().collect();
        let gaps = slots.windows(2).filter(|pair| pair[0].end() < pair[1].start()).count();
        let extremes = self.points.first().zip(self.points.last()).map(|(first, last)| Extremes {
            min: self.prices().min().unwrap(),
            max: self.prices().max().unwrap(),
            first: *first,
            last: *last,
        });
        Summary {
            count: self.points.len() as u64,
            slots: slots.len() as u64,
            gaps: gaps as u64,
            sum: self.prices().map(i128::from).sum(),
            extremes,
        }
    }

    /// Returns the standard deviation in pesos; `None` if there are no samples.
    #[allow(clippy::cast_precision_loss, reason = "compared with a tolerance")]
    pub(super) fn standard_deviation(&self) -> Option<f64> {
        let count = self.points.len() as i128;
        let sum: i128 = self.prices().map(i128::from).sum();
        let squares: i128 = self.prices().map(|price| i128::from(price).pow(2)).sum();
        let variance = (count * squares - sum * sum) as f64;
        (count > 0).then(|| variance.sqrt() / count as f64 / 10_000.0)
    }

    /// Returns the first sample with the lowest price.
    pub(super) fn lowest(&self) -> Option<Point> {
        self.points.iter().min_by_key(|(_, price)| *price).copied()
    }

    /// Returns the first sample with the highest price.
    pub(super) fn highest(&self) -> Option<Point> {
        self.points.iter().rev().max_by_key(|(_, price)| *price).copied()
    }

    /// Returns one page: the samples, the number of the page, and the number of pages.
    pub(super) fn page(
        &self,
        page: PageNumber,
        size: PageSize,
        order: Order,
    ) -> Option<(Vec<Point>, u64, u64)> {
        let items = chunk(self.points.clone(), page, size, order)?;
        let pages = (self.points.len() as u64).div_ceil(size.get()).max(1);
        Some((items, if let PageNumber::Number(number) = page { number } else { pages }, pages))
    }

    /// Returns the sum of the prices, each multiplied by the microseconds of a range in which it was valid,
    /// and the sum of these microseconds. A price is valid until the next sample, but at most for `hold`
    /// microseconds, and not after the unix second `now`.
    pub(super) fn held(&self, range: &TimeRange, hold: i64, now: i64) -> (i128, i64) {
        let micros = |time: UnixTime| Timestamp::from_score(time.as_score()).unwrap().micros();
        let since = range.since().map_or(i64::MIN, micros);
        let until = range.until().map_or(i64::MAX, micros).min(now * 1_000_000);
        let next = self.points.iter().skip(1).map(|(at, _)| at.micros()).chain([i64::MAX]);
        let (mut sum, mut covered) = (0, 0);
        for ((at, price), next) in self.points.iter().zip(next) {
            let end = next.min(at.micros().saturating_add(hold)).min(until);
            let valid = (end - at.micros().max(since)).max(0);
            sum += i128::from(*price) * i128::from(valid);
            covered += valid;
        }
        (sum, covered)
    }

    /// Returns all slots from the first recorded one up to the one that contains `now`, oldest first, each
    /// with its first sample.
    pub(super) fn slots(&self, now: i64) -> Vec<(Slot, Option<Point>)> {
        let Some(first) = self.points.first() else { return Vec::new() };
        let (mut slot, mut slots) = (self.slot(first), Vec::new());
        let mut points = self.points.iter().peekable();
        while slot.start() <= now {
            while points.next_if(|(at, _)| at.second() < slot.start()).is_some() {}
            let sample = points.peek().filter(|(at, _)| slot.contains(at.second()));
            slots.push((slot, sample.map(|point| **point)));
            slot = self.schedule.slot(slot.end());
        }
        slots
    }

    /// Returns the slots that begin in a range, as [`Naive::slots`].
    pub(super) fn slots_within(&self, range: &TimeRange, now: i64) -> Vec<(Slot, Option<Point>)> {
        let since = range.since().map_or(i64::MIN, UnixTime::second_at_or_after);
        let until = range.until().map_or(i64::MAX, UnixTime::second);
        let slots = self.slots(now).into_iter();
        slots.filter(|(slot, _)| (since..=until).contains(&slot.start())).collect()
    }

    /// Returns the gaps of a range: the first second, the first second after it, and the number of slots.
    pub(super) fn gaps(&self, range: &TimeRange, now: i64) -> Vec<(i64, i64, u64)> {
        let mut gaps: Vec<(i64, i64, u64)> = Vec::new();
        for (slot, sample) in self.slots_within(range, now) {
            if sample.is_some() || slot.end() > now {
                continue;
            }
            match gaps.last_mut().filter(|(_, end, _)| *end == slot.start()) {
                Some((_, end, count)) => (*end, *count) = (slot.end(), *count + 1),
                None => gaps.push((slot.start(), slot.end(), 1)),
            }
        }
        gaps
    }
}

/// Returns one page of a list; page 1 of an empty list is empty.
pub(super) fn chunk<T: Clone>(
    mut all: Vec<T>,
    page: PageNumber,
    size: PageSize,
    order: Order,
) -> Option<Vec<T>> {
    order.sort(&mut all);
    let size = usize::try_from(size.get()).unwrap();
    let last = all.len().div_ceil(size).max(1) as u64;
    let number = if let PageNumber::Number(number) = page { number } else { last };
    let chunk = all.chunks(size).nth(usize::try_from(number - 1).unwrap());
    chunk.or((number == 1).then_some(&[])).map(<[T]>::to_vec)
}
