//! Makes the rollups and gaps of a stretch anew from the samples.

use std::{
    iter,
    sync::{LazyLock, atomic::Ordering},
};

use redis::{RedisResult, Script};

use super::{
    Store, StoreError, failed, keys, node,
    rollups::{LARGEST_NODE, LEVELS, Span, align_down, node_length},
    samples::{PIECE, Rows, first_second, samples},
};
use crate::domain::{Sample, Summary};

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("replace_node.lua")));

static GAPS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gaps.lua")));

/// How many times a node whose samples change meanwhile is made again, before it is left to
/// the next reader that finds it wrong.
const TRIES: usize = 5;

impl Store {
    /// Makes the rollups of the seconds `[from, until)` anew. Recording may go on meanwhile: a
    /// node is replaced only if what it was made from is unchanged. `progress` is told each
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
        // One node of the coarsest level after the other, each from its finest parts up.
        let mut at = from;
        while at < until {
            let Some(next) = self.first_of(&everything(at), until).await? else { break };
            let end = (align_down(next, LARGEST_NODE) + LARGEST_NODE).min(until);
            // Before the rollups: it is by these that a rebuild that was cut short is noticed.
            self.rebuild_gaps(next.max(at), end).await?;
            for level in 0..LEVELS.len() {
                let length = node_length(level);
                let mut start = align_down(next.max(at), length);
                while let Some(next) =
                    self.first_of(&[(source(level), start), (target(level), start)], end).await?
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

    /// The first second before `end` that any of the ZSETs has a member at, each from its own
    /// second on.
    async fn first_of(&self, keys: &[(&str, i64)], end: i64) -> Result<Option<i64>, StoreError> {
        let mut looks = redis::pipe();
        for (key, start) in keys {
            looks.cmd("ZRANGEBYSCORE").arg(key).arg(start).arg(format!("({end}"));
            looks.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let firsts: RedisResult<Vec<Rows>> = looks.query_async(&mut self.connection.clone()).await;
        let firsts = firsts.map_err(failed("look for samples"))?;
        Ok(firsts.iter().filter_map(|rows| first_second(rows)).min())
    }

    /// The buckets of a level that are not empty, of the samples or the nodes that they sum up.
    fn buckets(&self, level: usize, rows: Rows) -> Vec<(i64, Summary)> {
        let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
        let Some(below) = level.checked_sub(1) else {
            let samples: Vec<Sample> = samples(rows).collect();
            let start = |sample: &Sample| align_down(sample.timestamp, length);
            let together = samples.chunk_by(|one, other| start(one) == start(other));
            let bucket = |together: &[Sample]| {
                let summary = Summary::of(together.iter().copied(), self.slots);
                Some((start(together.first()?), summary))
            };
            return together.filter_map(bucket).collect();
        };
        let bucket = |(member, _): (Vec<u8>, f64)| {
            let mut parts = node::from_member(below, &member);
            let (start, first) = parts.next()?;
            let summary = parts.fold(first, |sum, (_, part)| sum.and(part));
            Some((align_down(start, length), summary))
        };
        rows.into_iter().filter_map(bucket).collect()
    }

    /// Makes one node from what it sums up.
    async fn replace(&self, level: usize, start: i64) -> Result<(), StoreError> {
        let length = LEVELS.get(level).copied().unwrap_or(LARGEST_NODE);
        let end = start + node_length(level);
        let span = Span::of_seconds(start, end);
        for _ in 0..TRIES {
            let rows = self.rows_of(source(level), &span).await?;
            let members: Vec<&[u8]> = rows.iter().map(|(member, _)| member.as_slice()).collect();
            let seen = members.join(&b'\n');
            let member = node::to_member(level, start, &self.buckets(level, rows));
            let mut replace = REPLACE.key(source(level));
            replace.key(target(level));
            if level == 0 {
                replace.key(keys::TRIMMED);
            }
            let replaced: RedisResult<bool> = replace
                .arg(start)
                .arg(end)
                .arg(seen)
                .arg(member)
                .arg(length)
                .invoke_async(&mut self.connection.clone())
                .await;
            if replaced.map_err(failed("replace a rollup"))? {
                break;
            }
        }
        Ok(())
    }
}

/// Where samples from a second on are, and nodes that have buckets from there on.
fn everything(at: i64) -> Vec<(&'static str, i64)> {
    let nodes = |level| (target(level), align_down(at, node_length(level)));
    iter::once((keys::PRICES, at)).chain((0..LEVELS.len()).map(nodes)).collect()
}

/// The key of the level's nodes.
fn target(level: usize) -> &'static str {
    keys::ROLLUPS.get(level).copied().unwrap_or(keys::PRICES)
}

/// The key of what the level's nodes sum up.
fn source(level: usize) -> &'static str {
    level.checked_sub(1).map_or(keys::PRICES, target)
}
