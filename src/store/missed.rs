//! Why slots were missed. Which slots were missed is derived from the samples, by the
//! history; only the reasons are stored.

use std::{collections::HashMap, sync::LazyLock};

use redis::{Pipeline, Script};

use super::{Store, StoreError, answer, keys};
use crate::domain::{ByReason, Reason};

static RECORD_MISSED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("miss.lua")));

impl Store {
    /// Notes why slots, given by their first seconds, were missed. A slot that has a sample is not
    /// missed; the first reason that is noted stays.
    ///
    /// # Errors
    /// If Redis fails; noting it again is safe.
    pub async fn miss(&self, slots: &[i64], reason: Reason) -> Result<(), StoreError> {
        let position = Reason::ALL.iter().position(|known| *known == reason).unwrap_or_default();
        let mut step = RECORD_MISSED.key(keys::PRICES);
        step.key(&keys::MISSED[..]).arg(self.slots.length().as_secs()).arg(position + 1).arg(slots);
        let noted = step.invoke_async::<u64>(&mut self.connection.clone()).await;
        noted.map_err(super::failed("note why slots were missed")).map(|_| ())
    }

    /// How many slots that begin in each of the stretches `[from, until)` were missed for each
    /// reason, in the order of [`Reason::ALL`].
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn missed_by_reason(
        &self,
        stretches: &[(i64, i64)],
    ) -> Result<Vec<ByReason>, StoreError> {
        if stretches.is_empty() {
            return Ok(Vec::new());
        }
        let mut counts = Pipeline::new();
        for (from, until) in stretches {
            for key in keys::MISSED {
                counts.cmd("ZCOUNT").arg(key).arg(from).arg(format!("({until}"));
            }
        }
        let connection = &mut self.connection.clone();
        let counts = counts.query_async::<Vec<u64>>(connection);
        Ok(answer("count missed slots", counts).await?.as_chunks().0.to_vec())
    }

    /// Why the slots that begin in the seconds `[from, until)` were missed, by their first seconds.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn reasons(&self, from: i64, until: i64) -> Result<HashMap<i64, Reason>, StoreError> {
        let mut reads = Pipeline::new();
        for key in keys::MISSED {
            reads.cmd("ZRANGEBYSCORE").arg(key).arg(from).arg(format!("({until}"));
        }
        let connection = &mut self.connection.clone();
        let slots = reads.query_async::<Vec<Vec<i64>>>(connection);
        let slots = answer("read why slots were missed", slots).await?;
        let of_reason =
            |(reason, slots): (Reason, Vec<i64>)| slots.into_iter().map(move |slot| (slot, reason));
        Ok(Reason::ALL.into_iter().zip(slots).flat_map(of_reason).collect())
    }

    /// Deletes the reasons of slots that begin before a unix second.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn delete_reasons(&self, before: i64) -> Result<(), StoreError> {
        let mut deletions = Pipeline::new();
        for key in keys::MISSED {
            deletions.cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(format!("({before}"));
        }
        let connection = &mut self.connection.clone();
        let deleted = deletions.query_async::<Vec<u64>>(connection);
        answer("delete reasons of missed slots", deleted).await.map(|_| ())
    }
}
