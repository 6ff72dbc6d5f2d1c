//! The beat of the scheduler: apalis-cron, kept alive.

use std::time::Duration;

use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

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

/// Yields the current slot at once, then each slot as it starts, for ever.
///
/// `CronScheduler` ends when a tick comes late: after a pause of the process, a suspended
/// machine, a clock that stepped. It is then made anew, beginning with the current slot again;
/// the slots in between are not made up for, since a price of the past cannot be observed.
pub fn slot_starts(slots: Slots) -> impl Stream<Item = Slot> {
    let from_now = move || (slots.containing(clock::unix_seconds()), Some(cron(slots)));
    stream::unfold(None, move |ticks: Option<Ticks>| async move {
        let Some(mut ticks) = ticks else {
            return Some(from_now());
        };
        if let Some(Ok(slot)) = ticks.next().await {
            return Some((slot, Some(ticks)));
        }
        tracing::warn!("a tick came too late; going on from now");
        // Never a busy loop, whatever the clock does.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some(from_now())
    })
}

type Ticks = BoxStream<'static, Result<Slot, apalis_cron::Error>>;

fn cron(slots: Slots) -> Ticks {
    let slot =
        move |tick: Tick| slots.containing(i64::try_from(tick.get_timestamp()).unwrap_or(i64::MAX));
    let ticks = CronScheduler::new(SlotStarts(slots)).into_stream();
    ticks.map(move |tick| tick.map(slot)).boxed()
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
        assert!(first.contains(clock::unix_seconds()), "{first:?}");
        let second = ticks.next().await.unwrap();
        assert_eq!(second, first.next());
        #[allow(clippy::disallowed_methods, reason = "the whole process is to be late")]
        std::thread::sleep(Duration::from_millis(2500));
        let after = ticks.next().await.unwrap();
        assert!(after.start() >= second.start() + 2, "{after:?}");
        assert!(after.end() >= clock::unix_seconds(), "a slot of the past: {after:?}");
        assert_eq!(ticks.next().await.unwrap(), after.next());
    }
}
