//! All samples of a range in batches of whole hours, for responses of any length. Each batch is one query,
//! so no lock is held for long and memory use stays small.

use super::{
    Answered, History, HistoryError,
    view::{Cut, HourError, View},
};
use crate::{
    domain::{Order, TimeRange},
    store::Row,
};

/// The number of samples at which a batch ends; it always ends at the end of an hour.
const MIN_SAMPLES: usize = 2000;

/// A part of the samples of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The samples, in the requested order.
    pub rows: Vec<Row>,
    /// The first unix second of the hour that the next batch begins with; `None` after the last batch.
    pub next: Option<i64>,
}

impl History {
    /// Returns the samples of a range from the hour of [`Batch::next`] on; `None` starts at the beginning.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn batch(
        &self,
        range: &TimeRange,
        order: Order,
        from: Option<i64>,
    ) -> Result<Answered<Batch>, HistoryError> {
        self.query(range.until(), |view| view.batch(range, order, from)).await
    }
}

impl View<'_> {
    fn batch(
        &self,
        range: &TimeRange,
        order: Order,
        from: Option<i64>,
    ) -> Result<Batch, HourError> {
        let cuts = self.cuts(range)?;
        let [since, until] = cuts;
        let entries = self.index.entries();
        let last = (until.position + usize::from(until.offset > 0)).min(entries.len());
        let positions = since.position..last;
        let mut rows = Vec::new();
        let visit = |position: usize, rows: &mut Vec<Row>| {
            let Some(entry) = entries.get(position) else { return Ok(None) };
            let is_done = |from| match order {
                Order::Ascending => entry.start < from,
                Order::Descending => entry.start > from,
            };
            if from.is_some_and(is_done) {
                return Ok(None);
            }
            if rows.len() >= MIN_SAMPLES {
                return Ok(Some(entry.start));
            }
            self.rows_of_hour(position, cuts, order, rows).map(|()| None)
        };
        let first = from.map_or(positions.start, |from| {
            entries.partition_point(|entry| entry.start < from).max(positions.start)
        });
        let next = match order {
            Order::Ascending => {
                (first..positions.end).map(|at| visit(at, &mut rows)).find_map(stop)
            }
            Order::Descending => {
                let end = from.map_or(positions.end, |_| (first + 1).min(positions.end));
                (positions.start..end).rev().map(|at| visit(at, &mut rows)).find_map(stop)
            }
        };
        Ok(Batch { rows, next: next.transpose()? })
    }

    /// Appends the samples of an hour that lie between two cuts.
    fn rows_of_hour(
        &self,
        position: usize,
        [since, until]: [Cut; 2],
        order: Order,
        rows: &mut Vec<Row>,
    ) -> Result<(), HourError> {
        if self.index.entries().get(position).is_none_or(|it| it.node.summary.count == 0) {
            return Ok(());
        }
        let hour = self.hour(position)?;
        let from = if position == since.position { since.offset } else { 0 };
        let end = if position == until.position { until.offset } else { hour.len() };
        let before = rows.len();
        rows.extend(hour.rows(from..end));
        order.sort(rows.get_mut(before..).unwrap_or_default());
        Ok(())
    }
}

/// Ends the iteration at the start of the next batch or at an error.
fn stop(visited: Result<Option<i64>, HourError>) -> Option<Result<i64, HourError>> {
    visited.transpose()
}
