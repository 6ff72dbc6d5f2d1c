//! The ticks of the scheduler: apalis-cron, kept alive, by the clock of Redis.

use std::time::Duration;

use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::sleep;

use crate::{
    clock::{Clock, machine_time},
    domain::{Slot, Slots},
};

/// A schedule that ticks a moment before the next slot begins.
#[derive(Debug, Clone)]
struct SlotStarts {
    slots: Slots,
    clock: Clock,
}

impl Schedule<Utc> for SlotStarts {
    /// apalis-cron compares the tick, a whole second, with the clock of this machine.
    fn next_tick(&mut self, _: &Utc) -> Option<Tick<Utc>> {
        let next = self.slots.containing(self.clock.unix_seconds()).next();
        let wait = self.clock.until(next.start());
        Some(Tick::new((machine_time() + wait).as_secs()))
    }
}

/// With less time left in the current slot, its job would come too late.
const LEAST: Duration = Duration::from_millis(200);

/// Yields the current slot at once, unless it is about to end, then each slot as it starts, for ever. Waits
/// until the clock of Redis is known.
///
/// `CronScheduler` ends when a tick comes late: after a pause of the process, a suspended machine, a
/// clock that was set. It is then built again, beginning with the current slot; the slots in between
/// are left out, since a price of the past cannot be observed.
pub fn slot_starts(slots: Slots, clock: Clock) -> impl Stream<Item = Slot> {
    stream::unfold((None, clock), move |(last, clock)| async move {
        clock.synchronized().await;
        let slot = match last {
            None => {
                let current = slots.containing(clock.unix_seconds());
                let is_ending = clock.until(current.end()) < LEAST;
                if is_ending { next(slots, &clock, current).await } else { current }
            }
            Some(last) => next(slots, &clock, last).await,
        };
        Some((slot, (Some(slot), clock)))
    })
}

/// Waits for a slot to begin after `last`, or for the clock to be set.
async fn next(slots: Slots, clock: &Clock, last: Slot) -> Slot {
    loop {
        let slot = slots.containing(clock.unix_seconds());
        if slot != last {
            return slot;
        }
        tokio::select! {
            () = tick(SlotStarts { slots, clock: clock.clone() }) => {}
            () = clock.set() => {}
        }
    }
}

/// Waits for the next slot to begin. apalis-cron knows whole seconds only.
async fn tick(starts: SlotStarts) {
    let SlotStarts { slots, clock } = starts.clone();
    let next = slots.containing(clock.unix_seconds()).next();
    if clock.until(next.start()) > Duration::from_secs(1)
        && !matches!(CronScheduler::new(starts).into_stream().next().await, Some(Ok(_)))
    {
        tracing::warn!("a tick came too late; going on from now");
    }
    sleep(clock.until(next.start())).await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn ticks_come_at_slot_starts_and_survive_a_blocked_process() {
        let slots = Slots::new(Duration::from_secs(1)).unwrap();
        let clock = Clock::machine();
        let mut ticks = pin!(slot_starts(slots, clock.clone()));
        let first = ticks.next().await.unwrap();
        assert!(first.contains(clock.unix_seconds()), "{first:?}");
        let second = ticks.next().await.unwrap();
        assert_eq!(second, first.next());
        #[allow(clippy::disallowed_methods, reason = "the whole process is to be late")]
        std::thread::sleep(Duration::from_millis(2500));
        let after = ticks.next().await.unwrap();
        assert!(after.start() >= second.start() + 2, "{after:?}");
        assert!(after.end() >= clock.unix_seconds(), "a slot of the past: {after:?}");
        assert_eq!(ticks.next().await.unwrap(), after.next());
    }
}
