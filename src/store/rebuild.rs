//! Makes the rollups and gaps of a stretch anew from the samples.

use std::sync::{LazyLock, atomic::Ordering};

use redis::{RedisResult, Script};

use super::{
    Store, StoreError, failed, keys,
    rollups::{self, LEVELS, Span, align_down},
    samples::{PIECE, Rows, first_second, samples},
};
use crate::domain::Summary;

static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("replace_bucket.lua")));

static GAPS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gaps.lua")));

/// How many times a bucket whose samples change meanwhile is made again, before it is left to
/// the next reader that finds it wrong.
const TRIES: usize = 5;

impl Store {
    /// Makes the rollups of the seconds `[from, until)` anew. Recording may go on meanwhile: a
    /// bucket is replaced only if what it was made from is unchanged. `progress` is told each
    /// time how many more seconds are done.
    ///
    /// # Errors
    /// If Redis fails. The rollups are then partly old, which readers notice.
    pub async fn rebuild(
        &self,
        from: i64,
        until: i64,
        mut progress: impl FnMut(i64) + Send,
    ) -> Result<(), StoreError> {
        // One bucket of the coarsest level after the other, each from its finest parts up.
        let [.., coarsest] = LEVELS;
        let everything = [&[keys::PRICES], &keys::ROLLUPS[..]].concat();
        let mut at = from;
        while let Some(next) = self.first_of(&everything, at, until).await? {
            let end = (align_down(next, coarsest) + coarsest).min(until);
            // Before the rollups: it is by these that a rebuild that was cut short is noticed.
            self.rebuild_gaps(next, end).await?;
            for (level, &length) in LEVELS.iter().enumerate() {
                let mut start = align_down(next.max(at), length);
                while let Some(next) =
                    self.first_of(&[source(level), target(level)], start, end).await?
                {
                    start = align_down(next, length);
                    self.replace(level, start).await?;
                    start += length;
                    if level == 0 {
                        progress(length);
                    }
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Makes the gaps of the seconds `[from, until)` anew, a day at a time.
    async fn rebuild_gaps(&self, mut from: i64, until: i64) -> Result<(), StoreError> {
        while from < until {
            let end = (from + PIECE).min(until);
            let made: RedisResult<()> = GAPS
                .key(keys::PRICES)
                .key(keys::GAPS)
                .arg(from)
                .arg(end)
                .arg(self.slots.length().as_secs())
                .invoke_async(&mut self.connection.clone())
                .await;
            made.map_err(failed("find gaps"))?;
            from = end;
        }
        Ok(())
    }

    /// Rebuilds stretches in the background, unless that is under way already.
    pub(super) fn rebuild_soon(&self, stretches: Vec<(i64, i64)>) {
        if stretches.is_empty() || self.rebuilding.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let pieces = stretches.len();
            for (from, until) in stretches {
                if let Err(error) = store.rebuild(from, until, |_| ()).await {
                    tracing::warn!(%error, "rollups are left to be rebuilt");
                    break;
                }
            }
            store.rebuilding.store(false, Ordering::Release);
            tracing::info!(pieces, "rebuilt rollups that did not have all samples");
        });
    }

    /// The first second in `[start, end)` that any of the ZSETs has a member at.
    async fn first_of(
        &self,
        keys: &[&str],
        start: i64,
        end: i64,
    ) -> Result<Option<i64>, StoreError> {
        let mut looks = redis::pipe();
        for key in keys {
            looks.cmd("ZRANGEBYSCORE").arg(key).arg(start).arg(format!("({end}"));
            looks.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let firsts: RedisResult<Vec<Rows>> = looks.query_async(&mut self.connection.clone()).await;
        let firsts = firsts.map_err(failed("look for samples"))?;
        Ok(firsts.iter().filter_map(|rows| first_second(rows)).min())
    }

    /// Makes one bucket from what it sums up.
    async fn replace(&self, level: usize, start: i64) -> Result<(), StoreError> {
        let length = LEVELS.get(level).copied().unwrap_or_default();
        let span = Span::of_seconds(start, start + length);
        for _ in 0..TRIES {
            let rows = self.rows_of(source(level), &span).await?;
            let members: Vec<Vec<u8>> = rows.iter().map(|(member, _)| member.clone()).collect();
            let summary: Summary = if level == 0 {
                Summary::of(samples(rows), self.slots)
            } else {
                let text = |member: &Vec<u8>| String::from_utf8_lossy(member).into_owned();
                let parts = members.iter().filter_map(|member| rollups::from_member(&text(member)));
                parts.map(|(_, summary)| summary).collect()
            };
            let seen = members.join(&b'\n');
            let mut replace = REPLACE.key(source(level));
            replace.key(target(level));
            if level == 0 {
                replace.key(keys::TRIMMED);
            }
            let replaced: RedisResult<bool> = replace
                .arg(start)
                .arg(start + length)
                .arg(seen)
                .arg(rollups::to_member(start, &summary).unwrap_or_default())
                .invoke_async(&mut self.connection.clone())
                .await;
            if replaced.map_err(failed("replace a rollup"))? {
                break;
            }
        }
        Ok(())
    }
}

/// The key of the level's buckets.
fn target(level: usize) -> &'static str {
    keys::ROLLUPS.get(level).copied().unwrap_or(keys::PRICES)
}

/// The key of what the level's buckets sum up.
fn source(level: usize) -> &'static str {
    level.checked_sub(1).map_or(keys::PRICES, target)
}
