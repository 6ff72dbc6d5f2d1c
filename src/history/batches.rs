//! All samples of a range, hour by hour, for answers of any length: each batch is one question, so that
//! nothing waits and nothing large is held.

use super::{
    History, HistoryError, Known,
    view::{Cut, Miss, View},
};
use crate::{
    domain::{Order, TimeRange},
    store::Row,
};

/// A batch has whole hours until it has so many samples.
const SAMPLES: usize = 2000;

/// Some samples of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The samples, in the order that was asked for.
    pub rows: Vec<Row>,
    /// The hour that the next batch begins with; `None` after the last one.
    pub next: Option<i64>,
}

impl History {
    /// The samples of a range from an hour on, that of [`Batch::next`]; `None` begins.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn batch(
        &self,
        range: &TimeRange,
        order: Order,
        from: Option<i64>,
    ) -> Result<Known<Batch>, HistoryError> {
        self.ask(range.until(), |view| view.batch(range, order, from)).await
    }
}

impl View<'_> {
    fn batch(&self, range: &TimeRange, order: Order, from: Option<i64>) -> Result<Batch, Miss> {
        let cuts = self.cuts(range)?;
        let [since, until] = cuts;
        let entries = self.index.entries();
        let last = (until.position + usize::from(until.offset > 0)).min(entries.len());
        let positions = since.position..last;
        let mut rows = Vec::new();
        let visit = |position: usize, rows: &mut Vec<Row>| {
            let Some(entry) = entries.get(position) else { return Ok(None) };
            let is_early = |from| match order {
                Order::Ascending => entry.start < from,
                Order::Descending => entry.start > from,
            };
            if from.is_some_and(is_early) {
                return Ok(None);
            }
            if rows.len() >= SAMPLES {
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

    /// Adds the samples of an hour that lie between two cuts.
    fn rows_of_hour(
        &self,
        position: usize,
        [since, until]: [Cut; 2],
        order: Order,
        rows: &mut Vec<Row>,
    ) -> Result<(), Miss> {
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

/// Goes on until there is a next hour or a miss.
fn stop(visited: Result<Option<i64>, Miss>) -> Option<Result<i64, Miss>> {
    visited.transpose()
}
