//! The ticks of the scheduler: apalis-cron by the clock of Redis, restarted when it ends.

use std::time::Duration;

use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::sleep;

use crate::{
    clock::{Clock, machine_time},
    domain::{Slot, Slots},
};

/// A schedule that ticks up to a second before the next slot begins.
#[derive(Debug, Clone)]
struct SlotStarts {
    slots: Slots,
    clock: Clock,
}

impl Schedule<Utc> for SlotStarts {
    /// Returns the tick by the clock of this machine, with which apalis-cron compares it, in whole seconds.
    fn next_tick(&mut self, _: &Utc) -> Option<Tick<Utc>> {
        let next = self.slots.containing(self.clock.unix_seconds()).next();
        let wait = self.clock.until(next.start());
        Some(Tick::new((machine_time() + wait).as_secs()))
    }
}

/// If less time is left in the current slot, a job would start too late for it.
const MIN_REMAINING: Duration = Duration::from_millis(200);

/// Waits until the clock of Redis is known, then yields the current slot, unless it is about to end, and each
/// later slot when it starts. Never ends.
///
/// `CronScheduler` ends if a tick is late: after the process was blocked, the machine was suspended or its
/// clock was set. A new one is then created, which starts with the current slot. The slots in between are
/// skipped, since a past price cannot be observed.
pub fn slot_starts(slots: Slots, clock: Clock) -> impl Stream<Item = Slot> {
    stream::unfold((None, clock), move |(last, clock)| async move {
        clock.synchronized().await;
        let slot = match last {
            None => {
                let current = slots.containing(clock.unix_seconds());
                let is_ending = clock.until(current.end()) < MIN_REMAINING;
                if is_ending { next(slots, &clock, current).await } else { current }
            }
            Some(last) => next(slots, &clock, last).await,
        };
        Some((slot, (Some(slot), clock)))
    })
}

/// Waits until the current slot is not `last`, also because the clock was set, and returns it.
async fn next(slots: Slots, clock: &Clock, last: Slot) -> Slot {
    loop {
        let slot = slots.containing(clock.unix_seconds());
        if slot != last {
            return slot;
        }
        tokio::select! {
            () = tick(SlotStarts { slots, clock: clock.clone() }) => {}
            () = clock.jumped() => {}
        }
    }
}

/// Waits for the next slot to begin. The rest of a second is slept, since apalis-cron has whole seconds only.
async fn tick(starts: SlotStarts) {
    let SlotStarts { slots, clock } = starts.clone();
    let next = slots.containing(clock.unix_seconds()).next();
    if clock.until(next.start()) > Duration::from_secs(1)
        && !matches!(CronScheduler::new(starts).into_stream().next().await, Some(Ok(_)))
    {
        tracing::warn!("a tick was late; continuing with the current slot");
    }
    sleep(clock.until(next.start())).await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn ticks_are_at_slot_starts_and_continue_after_a_blocked_process() {
        let slots = Slots::new(Duration::from_secs(1)).unwrap();
        let clock = Clock::machine();
        let mut ticks = pin!(slot_starts(slots, clock.clone()));
        let first = ticks.next().await.unwrap();
        assert!(first.contains(clock.unix_seconds()), "{first:?}");
        let second = ticks.next().await.unwrap();
        assert_eq!(second, first.next());
        #[allow(clippy::disallowed_methods, reason = "blocks the whole process")]
        std::thread::sleep(Duration::from_millis(2500));
        let after = ticks.next().await.unwrap();
        assert!(after.start() >= second.start() + 2, "{after:?}");
        assert!(after.end() >= clock.unix_seconds(), "a past slot: {after:?}");
        assert_eq!(ticks.next().await.unwrap(), after.next());
    }
}
