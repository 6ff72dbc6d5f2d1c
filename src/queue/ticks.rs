//! The beat of the scheduler: apalis-cron, kept alive.

use std::time::Duration;

use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures_util::{Stream, StreamExt, stream};

use crate::{
    clock,
    domain::{Slot, Slots},
};

/// A schedule that ticks at the start of each slot.
#[derive(Debug, Clone, Copy)]
struct SlotStarts(Slots);

impl Schedule<Utc> for SlotStarts {
    fn next_tick(&mut self, _: &Utc) -> Option<Tick<Utc>> {
        let next = self.0.containing(clock::unix_seconds()).next();
        Some(Tick::new(next.start().unsigned_abs()))
    }
}

/// Yields each slot as it starts, for ever.
///
/// `CronScheduler` ends when a tick comes late: after a pause of the process, a suspended
/// machine, a clock that stepped. It is then made anew and goes on with the next slot; the slots
/// in between are not made up for, since a price of the past cannot be observed.
pub fn slot_starts(slots: Slots) -> impl Stream<Item = Slot> {
    stream::unfold(None, move |ticks| async move {
        let mut ticks = ticks.unwrap_or_else(|| Box::pin(cron(slots)));
        loop {
            match ticks.next().await {
                Some(Ok(slot)) => return Some((slot, Some(ticks))),
                Some(Err(error)) => tracing::warn!(%error, "a tick came too late"),
                None => tracing::warn!("the ticks ended"),
            }
            // Never a busy loop, whatever the clock does.
            tokio::time::sleep(Duration::from_millis(10)).await;
            ticks = Box::pin(cron(slots));
        }
    })
}

fn cron(slots: Slots) -> impl Stream<Item = Result<Slot, apalis_cron::Error>> {
    CronScheduler::new(SlotStarts(slots)).into_stream().map(move |tick| {
        tick.map(|tick| slots.containing(i64::try_from(tick.get_timestamp()).unwrap_or(i64::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn ticks_come_at_slot_starts_and_survive_a_blocked_process() {
        let slots = Slots::new(Duration::from_secs(1)).unwrap();
        let mut ticks = pin!(slot_starts(slots));
        let first = ticks.next().await.unwrap();
        assert!(clock::unix_seconds() >= first.start());
        assert_eq!(ticks.next().await.unwrap(), first.next());
        #[allow(clippy::disallowed_methods, reason = "the whole process is to be late")]
        std::thread::sleep(Duration::from_millis(2500));
        let after = ticks.next().await.unwrap();
        assert!(after.start() >= first.start() + 2, "{after:?}");
        let next = ticks.next().await.unwrap();
        assert!(next > after && clock::unix_seconds() - next.start() <= 1, "{next:?}");
    }
}
