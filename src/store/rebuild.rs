//! Makes the rollups and gaps of a stretch anew from the samples.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, LazyLock},
};

use redis::{ErrorKind, RedisError, RedisResult, Script};

use super::{
    Store, StoreError, failed, keys,
    node::{self, Node},
    rollups::{Field, LARGEST_NODE, LEVELS, SUMS, align_down, node_length},
    samples::{PIECE, Rows, first_second, samples},
    span::Span,
};
use crate::domain::{Sample, Summary, Total, UnixTime};

static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("nodes.lua"), include_str!("replace_node.lua")))
});

static GAPS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gaps.lua")));

/// How many times a node is made again if what it sums up changes meanwhile. An import changes a
/// coarse one some hundred times a second, and a try takes about a millisecond.
const TRIES: usize = 50;

/// The level and the first second of each node that there is.
type Nodes = BTreeSet<(usize, i64)>;

/// What a node is made from.
struct Parts {
    /// The fields of the nodes that it sums up; none if it sums up samples.
    fields: Vec<Field>,
    /// What was read of them, one a line.
    seen: Vec<u8>,
    /// Those of its sums that are not empty, each with its first second.
    sums: Vec<(i64, Total)>,
    /// Those of its buckets that are not empty, each with its first second.
    buckets: Vec<(i64, Summary)>,
}

impl Store {
    /// Makes the rollups of the seconds `[from, until)` anew. Recording may go on meanwhile: a
    /// node is replaced only if what it was made from is unchanged. `progress` is told each
    /// time how many more seconds are done.
    ///
    /// # Errors
    /// If Redis fails, or samples go on changing. The rollups are then partly old, which readers
    /// notice.
    pub async fn rebuild(
        &self,
        from: i64,
        until: i64,
        mut progress: impl FnMut(i64) + Send,
    ) -> Result<(), StoreError> {
        let mut nodes = self.stored_nodes().await?;
        let mut at = from;
        // One node of the coarsest level after the other, each from its finest parts up.
        while let Some(next) = self.first_of(0..LEVELS.len(), at..until, &nodes).await? {
            let end = (align_down(next, LARGEST_NODE) + LARGEST_NODE).min(until);
            // Before the rollups: it is by these that a rebuild that was cut short is noticed.
            self.rebuild_gaps(next, end).await?;
            let mut start = next;
            while let Some(next) = self.first_of(0..1, start..end, &nodes).await? {
                let node = align_down(next, node_length(0));
                self.replace(0, node).await?;
                nodes.insert((0, node));
                start = node + node_length(0);
                progress(node_length(0));
            }
            for level in 1..LEVELS.len() {
                for node in above(level, next..end, &nodes) {
                    self.replace(level, node).await?;
                    nodes.insert((level, node));
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Makes all rollups anew, those of samples that are gone too, as [`Store::rebuild`] does.
    ///
    /// # Errors
    /// As [`Store::rebuild`].
    pub async fn rebuild_all(&self, progress: impl FnMut(i64) + Send) -> Result<(), StoreError> {
        self.rebuild(UnixTime::MIN.second(), UnixTime::MAX.second() + 1, progress).await
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

    /// Rebuilds stretches, oldest first, in the background, unless that is under way already.
    pub(super) fn rebuild_soon(&self, mut stretches: Vec<(i64, i64)>) {
        if stretches.is_empty() {
            return;
        }
        // Neighbours in one go: each looks for all nodes.
        stretches.dedup_by(|(from, until), (_, end)| {
            let joined = *from <= *end;
            *end = if joined { *until.max(end) } else { *end };
            joined
        });
        let Ok(rebuilding) = Arc::clone(&self.rebuilding).try_lock_owned() else { return };
        let store = self.clone();
        tokio::spawn(async move {
            let _until_done = rebuilding;
            let pieces = stretches.len();
            for (from, until) in stretches {
                if let Err(error) = store.rebuild(from, until, |_| ()).await {
                    tracing::warn!(%error, "rollups are left to be rebuilt");
                    return;
                }
            }
            tracing::info!(pieces, "rebuilt rollups that did not have all samples");
        });
    }

    /// All nodes that there are.
    async fn stored_nodes(&self) -> Result<Nodes, StoreError> {
        let fields: RedisResult<Vec<String>> =
            redis::cmd("HKEYS").arg(keys::ROLLUPS).query_async(&mut self.connection.clone()).await;
        let fields = fields.map_err(failed("list rollups"))?;
        let sums = fields.iter().filter_map(|name| Field::of_sums(name));
        Ok(sums.map(|Field { level, start, .. }| (level, start)).collect())
    }

    /// The first second of a stretch that has a sample, or a node of one of the levels.
    async fn first_of(
        &self,
        levels: Range<usize>,
        Range { start, end }: Range<i64>,
        nodes: &Nodes,
    ) -> Result<Option<i64>, StoreError> {
        if start >= end {
            return Ok(None);
        }
        let rows: RedisResult<Rows> = redis::cmd("ZRANGEBYSCORE")
            .arg(keys::PRICES)
            .arg(start)
            .arg(format!("({end}"))
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(1)
            .query_async(&mut self.connection.clone())
            .await;
        let rows = rows.map_err(failed("look for samples"))?;
        let node = levels.filter_map(|level| {
            let first = align_down(start, node_length(level));
            let (_, node) = nodes.range((level, first)..(level, end)).next()?;
            Some(start.max(*node))
        });
        Ok(first_second(&rows).into_iter().chain(node).min())
    }

    /// Reads what a node is made from.
    async fn parts(&self, level: usize, stretch: Range<i64>) -> Result<Parts, StoreError> {
        let Some(finer) = level.checked_sub(1) else {
            let rows = self.rows(&Span::of_seconds(stretch.start, stretch.end)).await?;
            let members: Vec<&[u8]> = rows.iter().map(|(member, _)| member.as_slice()).collect();
            let (fields, seen) = (Vec::new(), members.join(&b'\n'));
            let samples: Vec<Sample> = samples(rows).collect();
            let total = |(start, part): (i64, &[Sample])| (start, Total::of(part.iter().copied()));
            let summary = |(start, part): (i64, &[Sample])| {
                (start, Summary::of(part.iter().copied(), self.slots))
            };
            let sums = by_stretch(&samples, SUMS[0]).map(total).collect();
            let buckets = by_stretch(&samples, LEVELS[0]).map(summary).collect();
            return Ok(Parts { fields, seen, sums, buckets });
        };
        let nodes = self.nodes(finer, stretch.clone()).await?;
        let bucket = |(start, node): &(i64, Node)| {
            let parts = node::summaries(finer, *start, node, stretch.clone());
            (*start, parts.map(|(_, summary)| summary).collect::<Summary>())
        };
        let buckets = nodes.iter().map(bucket).filter(|(_, summary)| summary.count > 0);
        let buckets: Vec<(i64, Summary)> = buckets.collect();
        let sums = buckets.iter().map(|(start, summary)| (*start, summary.total())).collect();
        let fields = nodes.iter().flat_map(|(start, _)| Field::of_node(finer, *start)).collect();
        let parts = nodes.iter().flat_map(|(_, node)| [&node.sums[..], &node.extremes]);
        Ok(Parts { fields, seen: parts.collect::<Vec<_>>().join(&b'\n'), sums, buckets })
    }

    /// Makes one node from what it sums up.
    async fn replace(&self, level: usize, start: i64) -> Result<(), StoreError> {
        let end = start + node_length(level);
        let frame = align_down(start, LARGEST_NODE);
        for _ in 0..TRIES {
            let Parts { fields, seen, sums, buckets } = self.parts(level, start..end).await?;
            let Node { sums, extremes } = Node::new(level, start, &sums, &buckets);
            let replaced: RedisResult<bool> = REPLACE
                .key(keys::PRICES)
                .key(keys::ROLLUPS)
                .arg(&Field::of_node(level, start))
                .arg(start)
                .arg(end)
                .arg(seen)
                .arg(sums)
                .arg(extremes)
                .arg(SUMS.get(level))
                .arg(LEVELS.get(level))
                .arg(frame)
                .arg(frame + LARGEST_NODE)
                .arg(fields)
                .invoke_async(&mut self.connection.clone())
                .await;
            if replaced.map_err(failed("replace a rollup"))? {
                return Ok(());
            }
        }
        let changing = (ErrorKind::Client, "what it sums up goes on changing");
        Err(failed("replace a rollup")(RedisError::from(changing)))
    }
}

/// The nodes of a level that there are in a stretch, or should be: there are finer ones.
fn above(level: usize, Range { start, end }: Range<i64>, nodes: &Nodes) -> BTreeSet<i64> {
    let length = node_length(level);
    let first = align_down(start, length);
    let finer = nodes.range((level - 1, first)..(level - 1, end));
    let own = nodes.range((level, first)..(level, end));
    finer.chain(own).map(|(_, start)| align_down(*start, length)).collect()
}

/// The samples of each stretch of a length, with its first second.
fn by_stretch(samples: &[Sample], length: i64) -> impl Iterator<Item = (i64, &[Sample])> {
    let start = move |sample: &Sample| align_down(sample.timestamp, length);
    let together = samples.chunk_by(move |one, other| start(one) == start(other));
    together.filter_map(move |part| Some((start(part.first()?), part)))
}
