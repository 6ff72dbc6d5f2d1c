//! Fills the index from Redis.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    History, HistoryError,
    index::{Columns, Entry, Index, Node},
};
use crate::{
    domain::{Schedule, UnixTime},
    store::{self, BlockState, Counts, HOUR, StoredHour, hour_of},
};

/// The number of blocks that are read with one request.
const BLOCKS_PER_REQUEST: usize = 200;
/// The maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 4;
/// The number of hours whose members are counted with one request.
const HOURS_PER_REQUEST: usize = 500;
/// Into how many parts a range is divided to find hours that differ.
const PARTS: i64 = 8;
/// The maximum number of members that are read with one request; Redis is busy with it for a few ms.
const MAX_MEMBERS: u64 = 20_000;

impl History {
    /// Returns the index of all blocks; the newest hours are kept in memory up to the memory limit.
    /// [`History::differing`] finds hours whose text differs from their block.
    pub(super) async fn load_blocks(&self, counts: &Counts) -> Result<Index, HistoryError> {
        let schedule = Arc::new(self.store().schedule().await?);
        let mut starts = self.store().block_starts().await?;
        starts.sort_unstable_by(|one, other| other.cmp(one));
        let requests: Vec<Vec<i64>> =
            starts.chunks(BLOCKS_PER_REQUEST).map(<[i64]>::to_vec).collect();
        let mut free = self.limits.memory;
        let mut entries = Vec::with_capacity(starts.len());
        let mut blocks = stream::iter(requests)
            .map(|starts| async { self.store().blocks(&starts).await.map(|read| (starts, read)) })
            .buffered(MAX_CONCURRENT);
        while let Some((starts, blocks)) = blocks.try_next().await? {
            for (start, block) in starts.into_iter().zip(blocks) {
                let Some(block) = block else { continue };
                let is_dropped = counts.boundary.is_some_and(|boundary| start < boundary);
                let entry = entry_of_block(start, &block, &schedule, is_dropped, free > 0);
                free = free.saturating_sub(entry.bytes());
                entries.push(entry);
            }
        }
        Ok(Index::new(schedule, entries))
    }

    /// Returns the hours whose number of members in `prices` differs from the index: they were changed
    /// manually or by the old stack, or are not sealed yet.
    pub(super) async fn differing(
        &self,
        index: &Index,
        counts: &Counts,
    ) -> Result<Vec<StoredHour>, HistoryError> {
        // First, each known hour with text is compared on its own, so that members that one hour has lost are
        // not balanced by members that another one has gained.
        let has_text = |entry: &&Entry| {
            entry.node.members > 0 || counts.boundary.is_none_or(|boundary| entry.start >= boundary)
        };
        let (mut actual, mut differing) = (Vec::new(), Vec::new());
        let known: Vec<&Entry> = index.entries().iter().filter(has_text).collect();
        for entries in known.chunks(HOURS_PER_REQUEST) {
            let hours: Vec<_> = entries.iter().map(|it| (it.start, it.start + HOUR)).collect();
            for (entry, members) in entries.iter().zip(self.store().members_in(&hours).await?) {
                actual.push((entry.start, members));
                if members != entry.node.members {
                    differing.push((entry.start, entry.start + HOUR));
                }
            }
        }
        let others = self.unknown_text(&actual).await?;
        differing.extend(others);
        let read = |(from, until): (i64, i64)| async move {
            let known: &[i64] = if until - from == HOUR { &[from] } else { &[] };
            self.store().hours(from, until, known).await
        };
        let hours: Vec<Vec<StoredHour>> = stream::iter(differing.into_iter().map(read))
            .buffered(MAX_CONCURRENT)
            .try_collect()
            .await?;
        // A known hour may also lie in a range that has unknown hours.
        let by_start = hours.into_iter().flatten().map(|hour| (hour.start, hour));
        Ok(by_start.collect::<BTreeMap<i64, StoredHour>>().into_values().collect())
    }

    /// Returns ranges of hours that have more members than their known hours, found by bisection. `known` has
    /// the first unix second and the number of members of each known hour, in order.
    async fn unknown_text(&self, known: &[(i64, u64)]) -> Result<Vec<(i64, i64)>, HistoryError> {
        let all = (hour_of(UnixTime::MIN.second()), hour_of(UnixTime::MAX.second()) + HOUR);
        let (mut ranges, mut found) = (vec![all], Vec::new());
        while !ranges.is_empty() {
            let parts: Vec<(i64, i64)> = ranges.iter().flat_map(|it| parts(*it)).collect();
            let counts = self.store().members_in(&parts).await?;
            ranges.clear();
            for ((from, until), count) in parts.into_iter().zip(counts) {
                let position = |second| known.partition_point(|(start, _)| *start < second);
                let among = known.get(position(from)..position(until)).unwrap_or_default();
                if count <= among.iter().map(|(_, members)| members).sum() {
                    continue;
                }
                let is_small = until - from == HOUR || count <= MAX_MEMBERS;
                if is_small { found.push((from, until)) } else { ranges.push((from, until)) }
            }
        }
        Ok(found)
    }
}

/// Divides a range of whole hours into at most [`PARTS`] parts.
fn parts((from, until): (i64, i64)) -> impl Iterator<Item = (i64, i64)> {
    let hours = (until - from) / HOUR;
    let length = ((hours + PARTS - 1) / PARTS).max(1) * HOUR;
    let starts =
        (0..).map(move |part| from + part * length).take_while(move |&start| start < until);
    starts.map(move |start| (start, (start + length).min(until)))
}

/// Returns the entry of an hour whose text and block were read.
pub(super) fn entry(stored: &StoredHour, schedule: &Schedule) -> Entry {
    let hour = stored.columns();
    if let Some(damage) = stored.damage() {
        tracing::error!(error = %damage, "queries about an hour fail: its samples are lost");
    } else if let BlockState::Damaged(error) = &stored.block_state {
        let hour = stored.start;
        tracing::warn!(hour, %error, "the block of an hour is damaged; its text is used instead");
    }
    let node = Node {
        members: stored.members(),
        blocks: u64::from(stored.has_block()),
        damaged: u64::from(stored.damage().is_some()),
        ..Node::of(&hour, schedule)
    };
    let is_sealed = stored.block_state == BlockState::Current
        || (hour.is_empty() && stored.block_state == BlockState::Missing);
    Entry { start: stored.start, node, is_sealed, columns: Some(Columns::new(hour)) }
}

/// Returns the entry of an hour of which only the block was read. If the hour has text, the text is assumed
/// to match until the numbers of members differ.
fn entry_of_block(
    start: i64,
    block: &[u8],
    schedule: &Schedule,
    is_dropped: bool,
    keeps_columns: bool,
) -> Entry {
    match store::decode(start, block) {
        Ok(hour) => {
            let node = Node::of(&hour, schedule);
            let members = if is_dropped { 0 } else { node.summary.count };
            let node = Node { members, blocks: 1, ..node };
            Entry {
                start,
                node,
                is_sealed: true,
                columns: keeps_columns.then(|| Columns::new(hour)),
            }
        }
        Err(error) => {
            if is_dropped {
                tracing::error!(hour = start, %error, "the block of an hour is damaged");
            }
            // If the hour has text, the numbers of members differ, and the hour is read as a whole.
            let damaged = u64::from(is_dropped);
            let node = Node { blocks: 1, damaged, ..Node::default() };
            Entry { start, node, is_sealed: false, columns: None }
        }
    }
}
