//! Maintenance of the stored hours: sealing hours, dropping text, deleting old hours; and the manual
//! operations of an operator: check, rebuild, restore text.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{History, HistoryError, index::Entry};
use crate::store::{BlockState, HOUR, StoreError, StoredHour, hour_of};

/// The seconds after the end of an hour after which it is sealed, because nothing is recorded in it any more.
const SEAL_DELAY: i64 = 10;
/// The maximum number of hours that are processed concurrently.
const MAX_CONCURRENT: usize = 8;
/// The maximum number of attempts to replace an hour that changes in the meantime.
const MAX_ATTEMPTS: usize = 5;

/// How long samples are kept; `None` is forever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// How long they are kept as text.
    pub text: Option<Duration>,
    /// How long they are kept in any form.
    pub samples: Option<Duration>,
}

/// The result of maintenance, in numbers of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintained {
    /// The hours whose block was written.
    pub sealed: usize,
    /// The hours whose text was dropped.
    pub dropped: usize,
    /// The hours that were deleted.
    pub deleted: usize,
}

/// A problem of the block of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The first unix second of the hour.
    pub hour: i64,
    /// What is wrong.
    pub problem: String,
    /// Whether the block can be rebuilt from text; otherwise samples are lost.
    pub can_be_rebuilt: bool,
}

impl History {
    /// Seals hours that have ended, drops old text and deletes old hours, as of the unix second
    /// `now`. May be interrupted at any point and repeated.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn maintain(
        &self,
        now: i64,
        retention: Retention,
    ) -> Result<Maintained, HistoryError> {
        self.refresh().await?;
        let before = |age: Duration| hour_of(now.saturating_sub_unsigned(age.as_secs()));
        let deleted = match retention.samples {
            Some(age) => self.delete_hours(before(age)).await?,
            None => 0,
        };
        // First deletes and drops, which a Redis without free memory can do: sealing needs the freed memory.
        let dropped = match retention.text {
            Some(age) => self.drop_text(before(age)).await?,
            None => 0,
        };
        let sealed = self.seal_hours(now - SEAL_DELAY).await?;
        Ok(Maintained { sealed, dropped, deleted })
    }

    /// Drops the text of all hours that end at or before a unix second, oldest first. From then on, samples
    /// before that second are stored as blocks only. Returns how many hours had text.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn drop_text(&self, before: i64) -> Result<usize, HistoryError> {
        self.refresh().await?;
        let boundary = self.store().counts().await?.boundary;
        let mut dropped = 0;
        let has_text =
            |entry: &Entry| entry.node.members > 0 || boundary.is_none_or(|at| entry.start >= at);
        for start in self.starts(|entry| entry.start + HOUR <= before && has_text(entry))? {
            if !self.drop_text_of(start).await? {
                // The boundary must not move past an hour whose block is outdated.
                tracing::warn!(hour = start, "kept the text of this hour and of later ones");
                return Ok(dropped);
            }
            dropped += 1;
        }
        if boundary.is_none_or(|at| at < before) {
            self.store().move_boundary(before).await?;
        }
        Ok(dropped)
    }

    /// Drops the text of an hour; seals it before if necessary. Returns `false` if the hour keeps changing.
    async fn drop_text_of(&self, start: i64) -> Result<bool, HistoryError> {
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.store().hour(start).await?;
            if let Some(damage) = stored.damage() {
                tracing::error!(error = %damage, "kept the text of this hour");
                return Ok(true);
            }
            if is_empty(&stored) || self.store().drop_text(&stored).await? {
                return Ok(true);
            }
            if stored.block_state != BlockState::Current {
                self.seal(&stored).await?;
            }
        }
        Ok(false)
    }

    /// Writes the blocks of all hours that ended at or before a unix second and whose block is missing or
    /// outdated. Returns how many were written.
    async fn seal_hours(&self, by: i64) -> Result<usize, HistoryError> {
        let starts = self.starts(|entry| entry.start + HOUR <= by && !entry.is_sealed)?;
        let seal = |start| async move {
            let stored = self.store().hour(start).await?;
            let is_current = stored.block_state == BlockState::Current;
            // The index still contains hours that were deleted a moment ago.
            if is_current || stored.damage().is_some() || is_empty(&stored) {
                return Ok(0);
            }
            self.seal(&stored).await.map(usize::from)
        };
        let sealed = stream::iter(starts.into_iter().map(seal)).buffer_unordered(MAX_CONCURRENT);
        sealed.try_fold(0, async |sum, sealed| Ok(sum + sealed)).await
    }

    async fn delete_hours(&self, before: i64) -> Result<usize, HistoryError> {
        // The hour of the newest sample is kept: it has the last price and the start of the next gap.
        let newest = self.starts(|entry| entry.node.summary.count > 0)?.pop();
        let mut deleted = 0;
        let is_old = |entry: &Entry| entry.start + HOUR <= before && Some(entry.start) != newest;
        for start in self.starts(is_old)? {
            let stored = self.store().hour(start).await?;
            deleted += usize::from(self.store().delete(&stored).await?);
        }
        self.store().delete_missed_reasons(before).await?;
        Ok(deleted)
    }

    async fn seal(&self, stored: &StoredHour) -> Result<bool, HistoryError> {
        let index = self.index().ok_or(HistoryError::Loading)?;
        Ok(self.store().seal(stored, index.schedule()).await?)
    }

    /// Compares all blocks with the text, where it exists, and their summaries with their samples. Returns
    /// the number of hours and the problems.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn check(&self) -> Result<(usize, Vec<Finding>), HistoryError> {
        let starts = self.starts(|_| true)?;
        let count = starts.len();
        let index = self.index().ok_or(HistoryError::Loading)?;
        let schedule = index.schedule();
        let check = |start| async move {
            let stored = self.store().hour(start).await?;
            let problem = match &stored.block_state {
                BlockState::Damaged(error) => Some(error.to_string()),
                BlockState::Outdated => Some("its samples differ from the text".to_owned()),
                BlockState::Missing => None,
                BlockState::Current => stored.summary_problem(schedule).map(str::to_owned),
            };
            let can_be_rebuilt = stored.damage().is_none();
            Ok(problem.map(|problem| Finding { hour: start, problem, can_be_rebuilt }))
        };
        let checked = stream::iter(starts.into_iter().map(check)).buffered(MAX_CONCURRENT);
        let findings: Vec<Option<Finding>> =
            checked.try_collect().await.map_err(|error: StoreError| HistoryError::Store(error))?;
        Ok((count, findings.into_iter().flatten().collect()))
    }

    /// Rewrites the blocks in which [`History::check`] finds problems and that can be rebuilt. Returns how
    /// many were rewritten.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn rebuild(&self) -> Result<usize, HistoryError> {
        let (_, findings) = self.check().await?;
        let mut rebuilt = 0;
        for finding in findings.iter().filter(|finding| finding.can_be_rebuilt) {
            let stored = self.store().hour(finding.hour).await?;
            rebuilt += usize::from(self.seal(&stored).await?);
        }
        Ok(rebuilt)
    }

    /// Writes all samples as text again, newest hours first. Returns how many hours had no text.
    ///
    /// # Errors
    /// Returns an error if Redis fails, or the block of an hour without text is damaged.
    pub async fn restore_text(&self) -> Result<usize, HistoryError> {
        let boundary = self.store().counts().await?.boundary;
        let mut starts =
            self.starts(|entry| boundary.is_some_and(|boundary| entry.start < boundary))?;
        starts.reverse();
        for start in &starts {
            let mut is_restored = false;
            for _ in 0..MAX_ATTEMPTS {
                let stored = self.store().hour(*start).await?;
                if let Some(damage) = stored.damage() {
                    return Err(damage.into());
                }
                is_restored = self.store().restore_text(&stored).await?;
                if is_restored {
                    break;
                }
            }
            if !is_restored {
                let operation = "restore text";
                return Err(StoreError::Contended { operation, hour: *start }.into());
            }
        }
        Ok(starts.len())
    }

    /// Returns the first unix seconds of the hours whose entries are `wanted`, oldest first.
    fn starts(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<i64>, HistoryError> {
        let index = self.index().ok_or(HistoryError::Loading)?;
        let wanted = index.entries().iter().filter(|entry| wanted(entry));
        Ok(wanted.map(|entry| entry.start).collect())
    }
}

fn is_empty(stored: &StoredHour) -> bool {
    stored.observations.is_empty() && !stored.has_block()
}
