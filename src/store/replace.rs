//! Changes whole hours: seals them, drops and restores text, adds samples, deletes. Each change is atomic
//! and does nothing if the hour has changed since it was read.

use std::{collections::BTreeSet, sync::LazyLock};

use redis::Script;

use super::{
    BlockState, Hour, Store, StoreError, StoredHour, block, hours::readable_members, keys, once,
    send,
};
use crate::domain::{Observation, Schedule};

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("replace_hour.lua")));

/// The new content of an hour.
#[derive(Debug, Default)]
struct Replacement<'a> {
    /// The block; empty for none.
    block: Vec<u8>,
    /// The new boundary, if it moves.
    boundary: Option<i64>,
    /// Whether the samples are removed from the text.
    drops_text: bool,
    /// Samples that are added to the text.
    text: Vec<&'a Observation>,
    /// The first unix seconds of the slots that have a sample from now on.
    recorded: Vec<i64>,
}

impl Store {
    /// Writes the block of an hour, or removes it if the hour is empty. Returns `false` if the hour has
    /// changed since it was read.
    ///
    /// # Errors
    /// Returns an error if Redis fails, or the hour has too many samples for a block.
    pub async fn seal(&self, stored: &StoredHour, schedule: &Schedule) -> Result<bool, StoreError> {
        let block = encoded(stored, &stored.observations, schedule)?;
        self.replace(stored, Replacement { block, ..Replacement::default() }).await
    }

    /// Removes the text of an hour whose block, as it was read from Redis, has all of its samples, and moves
    /// the boundary behind the hour. Returns `false` if the block does not have all samples, or if the hour
    /// has changed since it was read.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn drop_text(&self, stored: &StoredHour) -> Result<bool, StoreError> {
        if stored.block_state != BlockState::Current {
            return Ok(false);
        }
        let block = stored.block.clone();
        let boundary = (!stored.is_dropped()).then(|| stored.end());
        let dropped = Replacement { block, boundary, drops_text: true, ..Replacement::default() };
        self.replace(stored, dropped).await
    }

    /// Writes all samples of an hour as text and moves the boundary to its start; the block is kept. Must be
    /// called for the newest hour before the boundary first. Returns `false` if the hour has changed since it
    /// was read.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn restore_text(&self, stored: &StoredHour) -> Result<bool, StoreError> {
        let restored = Replacement {
            block: stored.block.clone(),
            boundary: Some(stored.start),
            drops_text: true,
            text: stored.observations.iter().collect(),
            recorded: Vec::new(),
        };
        self.replace(stored, restored).await
    }

    /// Deletes the text, the block and the provenance of an hour. Returns `false` if it has changed since it
    /// was read.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn delete(&self, stored: &StoredHour) -> Result<bool, StoreError> {
        self.replace(stored, Replacement { drops_text: true, ..Replacement::default() }).await
    }

    /// Adds the samples, which are given oldest first, whose slots have none yet: to the block, and also to
    /// the text if the hour has text. Returns how many were added; `None` if the hour has changed since it
    /// was read.
    ///
    /// # Errors
    /// Returns an error if Redis fails, or the block of the hour is damaged.
    pub async fn add(
        &self,
        stored: &StoredHour,
        samples: &[Observation],
        schedule: &Schedule,
    ) -> Result<Option<u64>, StoreError> {
        if let Some(damage) = stored.damage() {
            return Err(damage);
        }
        let slot = |it: &Observation| schedule.slot(it.sample.timestamp.second()).start();
        let mut taken: BTreeSet<i64> = stored.observations.iter().map(slot).collect();
        let added: Vec<&Observation> = samples.iter().filter(|it| taken.insert(slot(it))).collect();
        if added.is_empty() {
            return Ok(Some(0));
        }
        let mut all = stored.observations.clone();
        all.extend(added.iter().copied().cloned());
        all.sort_by_key(|observation| observation.sample.timestamp);
        let replacement = Replacement {
            block: encoded(stored, &all, schedule)?,
            recorded: added.iter().map(|it| slot(it)).collect(),
            text: if stored.is_dropped() { Vec::new() } else { added.clone() },
            ..Replacement::default()
        };
        let replaced = self.replace(stored, replacement).await?;
        Ok(replaced.then_some(added.len() as u64))
    }

    /// Moves the boundary forward to a unix second. Hours before it that have text keep it, like samples that
    /// were added later; their blocks must be current.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn move_boundary(&self, boundary: i64) -> Result<(), StoreError> {
        // Rewrites the last hour before the new boundary unchanged, together with the boundary.
        loop {
            let stored = self.hour(boundary - super::HOUR).await?;
            if stored.is_dropped() {
                return Ok(());
            }
            let block = stored.block.clone();
            let moved = Replacement { block, boundary: Some(boundary), ..Replacement::default() };
            if self.replace(&stored, moved).await? {
                return Ok(());
            }
        }
    }

    async fn replace(
        &self,
        stored: &StoredHour,
        replacement: Replacement<'_>,
    ) -> Result<bool, StoreError> {
        let Replacement { block, boundary, drops_text, text, recorded } = replacement;
        let mut step = REPLACE.key(keys::PRICES);
        step.key(keys::HOURS).key(keys::META).key(keys::CHANGES);
        step.key(keys::provenance(stored.start)).key(once::done_key()).key(&keys::all_missed()[..]);
        step.arg(stored.start).arg(stored.end());
        let lines = stored.text.iter().flat_map(|(member, score)| [member, score.as_bytes()]);
        step.arg(lines.collect::<Vec<_>>().join(&b'\n')).arg(&stored.block);
        step.arg(number_or_empty(stored.boundary)).arg(block);
        step.arg(number_or_empty(boundary));
        let removed: Vec<&[u8]> =
            if drops_text { readable_members(&stored.text).collect() } else { Vec::new() };
        step.arg(removed.len()).arg(text.len()).arg(removed);
        for Observation { sample, .. } in text {
            step.arg(sample.timestamp.to_string()).arg(sample.member());
        }
        step.arg(recorded);
        send("replace an hour", step.invoke_async(&mut self.connection.clone())).await
    }
}

fn number_or_empty(number: Option<i64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// Encodes the samples of an hour as a block; empty if there are none.
fn encoded(
    stored: &StoredHour,
    observations: &[Observation],
    schedule: &Schedule,
) -> Result<Vec<u8>, StoreError> {
    if observations.is_empty() {
        return Ok(Vec::new());
    }
    let hour = Hour::new(stored.start, observations);
    let failed = |cause| StoreError::Encode { hour: stored.start, cause };
    block::encode(&hour, schedule).map_err(failed)
}
