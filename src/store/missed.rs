//! The reasons of missed slots. Which slots were missed is derived from the samples by the history; only
//! the reasons are stored.

use std::{collections::HashMap, sync::LazyLock};

use redis::{Pipeline, Script};

use super::{Store, StoreError, keys, send};
use crate::domain::{MissedByReason, MissedReason};

static RECORD_MISSED: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("record_missed.lua")));

impl Store {
    /// Records why slots, given by their first unix seconds, were missed. Slots that have a sample are
    /// skipped; the first recorded reason of a slot is kept.
    ///
    /// # Errors
    /// Returns an error if Redis fails; recording the reason again is safe.
    pub async fn record_missed(
        &self,
        slots: &[i64],
        reason: MissedReason,
    ) -> Result<(), StoreError> {
        let mut step = RECORD_MISSED.key(keys::PRICES);
        step.key(keys::missed(reason)).key(&keys::all_missed()[..]);
        step.arg(self.slots.length().as_secs()).arg(slots);
        let connection = &mut self.connection.clone();
        let recorded = step.invoke_async::<u64>(connection);
        send("record why slots were missed", recorded).await.map(drop)
    }

    /// The numbers of slots that begin in each of the ranges `[from, until)` of unix seconds and have a
    /// recorded reason.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn missed_by_reason(
        &self,
        ranges: &[(i64, i64)],
    ) -> Result<Vec<MissedByReason>, StoreError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let (keys, mut counts) = (keys::all_missed(), Pipeline::new());
        for (from, until) in ranges {
            for key in &keys {
                counts.cmd("ZCOUNT").arg(key).arg(from).arg(format!("({until}"));
            }
        }
        let connection = &mut self.connection.clone();
        let counts = counts.query_async::<Vec<u64>>(connection);
        Ok(send("count missed slots", counts).await?.as_chunks().0.to_vec())
    }

    /// The recorded reasons of the slots that begin in the unix seconds `[from, until)`, by the first
    /// second of the slot.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn missed_reasons(
        &self,
        from: i64,
        until: i64,
    ) -> Result<HashMap<i64, MissedReason>, StoreError> {
        let mut reads = Pipeline::new();
        for key in keys::all_missed() {
            reads.cmd("ZRANGEBYSCORE").arg(key).arg(from).arg(format!("({until}"));
        }
        let connection = &mut self.connection.clone();
        let slots = reads.query_async::<Vec<Vec<i64>>>(connection);
        let slots = send("read why slots were missed", slots).await?;
        let with_reason = |(reason, slots): (MissedReason, Vec<i64>)| {
            slots.into_iter().map(move |slot| (slot, reason))
        };
        Ok(MissedReason::ALL.into_iter().zip(slots).flat_map(with_reason).collect())
    }

    /// Deletes the reasons of slots that begin before a unix second.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn delete_missed_reasons(&self, before: i64) -> Result<(), StoreError> {
        let mut deletions = Pipeline::new();
        for key in keys::all_missed() {
            deletions.cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(format!("({before}"));
        }
        let connection = &mut self.connection.clone();
        let deleted = deletions.query_async::<Vec<u64>>(connection);
        send("delete reasons of missed slots", deleted).await.map(drop)
    }
}
