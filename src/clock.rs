//! The reference clock: that of Redis. Every process estimates it, so that a machine with a wrong
//! clock records, deletes and reports like any other. Depends on the connection and telemetry.
//!
//! Each answer to `TIME` gives an interval that Redis' clock lies in: between the moments of sending
//! and receiving. The estimate is moved into the interval, and only as far as necessary; between
//! two answers it follows the monotonic clock of this machine. While Redis is away, that is all.

mod follow;
mod outage;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// When this process asked for the time for the first time, for systems without a better clock.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An estimate that is moved by more than this was not wrong before: a clock was set.
const JUMP: Duration = Duration::from_secs(1);
/// A difference between this machine's clock and that of Redis that is reported.
const WRONG: Duration = Duration::from_secs(1);

/// The estimate of Redis' clock that one process has. Clones share it. Until the first answer of
/// Redis it is this machine's clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// See [`uptime`].
    started: Duration,
    state: Mutex<State>,
    /// How often the estimate has been set: the first time, and at each jump.
    settings: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// What Redis' clock showed when this one was made, since the Unix epoch.
    at_start: Duration,
    /// Whether a wrong clock of this machine has been reported.
    is_reported: bool,
    /// How many of the jumps have been noted in Redis.
    noted: u64,
    /// When the last jump was, see [`uptime`].
    jumped: Option<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::started(uptime(), machine_time())
    }
}

impl Clock {
    fn started(started: Duration, at_start: Duration) -> Self {
        let state = State { at_start, is_reported: false, noted: 0, jumped: None };
        let (settings, _) = watch::channel(0);
        Self(Arc::new(Shared { started, state: Mutex::new(state), settings }))
    }

    /// The clock of this machine, for what has no Redis.
    pub fn machine() -> Self {
        let clock = Self::default();
        clock.0.settings.send_replace(1);
        clock
    }

    /// The time since the Unix epoch (UTC).
    pub fn now(&self) -> Duration {
        self.0.state.lock().at_start + uptime().saturating_sub(self.0.started)
    }

    /// The current unix second (UTC).
    pub fn unix_seconds(&self) -> i64 {
        i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// The time from now to a unix second; zero once it is reached.
    pub fn until(&self, unix_second: i64) -> Duration {
        u64::try_from(unix_second)
            .map(|second| Duration::from_secs(second).saturating_sub(self.now()))
            .unwrap_or_default()
    }

    /// How far this machine's clock is ahead of Redis' clock, in seconds; negative if it is behind.
    pub fn skew(&self) -> f64 {
        machine_time().as_secs_f64() - self.now().as_secs_f64()
    }

    /// Waits for the first answer of Redis.
    pub async fn synchronized(&self) {
        let mut settings = self.0.settings.subscribe();
        // An error would mean that the sender is gone, which is part of this clock.
        let _reached = settings.wait_for(|settings| *settings > 0).await;
    }

    /// How often the clock of Redis was set by more than a second since its first answer.
    pub fn jumps(&self) -> u64 {
        self.0.settings.borrow().saturating_sub(1)
    }

    /// How often the clock was set, if that has not all been noted in Redis.
    pub fn jumps_to_note(&self) -> Option<u64> {
        Some(self.jumps()).filter(|jumps| *jumps > self.0.state.lock().noted)
    }

    /// So many jumps have been noted in Redis.
    pub fn note_jumps(&self, jumps: u64) {
        self.0.state.lock().noted = jumps;
    }

    /// How long ago the last jump was.
    pub fn since_jump(&self) -> Option<Duration> {
        self.0.state.lock().jumped.map(|at| uptime().saturating_sub(at))
    }

    /// Waits until the estimate has been set, once more.
    pub async fn set(&self) {
        let _changed = self.0.settings.subscribe().changed().await;
    }

    /// Takes in an answer of Redis, which was asked and has answered at these moments. Gives by how
    /// many seconds the estimate was set, if it was a jump.
    fn take_in(&self, sent: Duration, received: Duration, time: Duration) -> Option<f64> {
        let since_start = |moment: Duration| moment.saturating_sub(self.0.started);
        let earliest = time.saturating_sub(since_start(received));
        let latest = time.saturating_sub(since_start(sent));
        let mut state = self.0.state.lock();
        let before = state.at_start;
        let is_first = *self.0.settings.borrow() == 0;
        state.at_start =
            if is_first { (earliest + latest) / 2 } else { before.clamp(earliest, latest) };
        let jumped = !is_first && before.abs_diff(state.at_start) > JUMP;
        if jumped {
            state.jumped = Some(received);
        }
        let by = state.at_start.as_secs_f64() - before.as_secs_f64();
        drop(state);
        if is_first || jumped {
            self.0.settings.send_modify(|settings| *settings += 1);
        }
        jumped.then_some(by)
    }

    /// Logs once that this machine's clock is wrong, and once that it is right again.
    fn report(&self) {
        let skew = self.skew();
        let is_reported = &mut self.0.state.lock().is_reported;
        // One that varies around the limit is reported once.
        let limit = if *is_reported { WRONG / 2 } else { WRONG };
        let is_wrong = skew.abs() > limit.as_secs_f64();
        if std::mem::replace(is_reported, is_wrong) == is_wrong {
            return;
        }
        let (seconds, side) = (skew.abs(), if skew > 0.0 { "ahead of" } else { "behind" });
        if is_wrong {
            tracing::warn!(
                "this machine's clock is {seconds:.1} s {side} the clock of Redis, which is used instead"
            );
        } else {
            tracing::info!("this machine's clock agrees with the clock of Redis again");
        }
    }
}

/// The time that has passed since some moment; it includes the time for which the machine was
/// suspended, where the system tells it.
fn uptime() -> Duration {
    #[cfg(target_os = "linux")]
    if let Ok(uptime) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) {
        return uptime.into();
    }
    START.elapsed()
}

/// The clock of this machine: the time since the Unix epoch (UTC); zero if it stands before that. For
/// libraries that know no other one.
pub fn machine_time() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock of a minute ago.
    fn clock() -> Clock {
        let minute = Duration::from_mins(1);
        Clock::started(
            uptime().checked_sub(minute).unwrap(),
            machine_time().checked_sub(minute).unwrap(),
        )
    }

    /// Takes in that Redis' clock is `ahead` of this machine's, with a round trip of `trip`.
    fn answer(clock: &Clock, ahead: Duration, trip: Duration) -> Option<f64> {
        let received = uptime();
        let sent = received.checked_sub(trip).unwrap();
        clock.take_in(sent, received, (machine_time() + ahead).checked_sub(trip / 2).unwrap())
    }

    #[test]
    fn the_estimate_follows_redis_and_is_not_moved_by_slow_answers() {
        let clock = clock();
        let hour = Duration::from_hours(1);
        assert_eq!(answer(&clock, hour, Duration::ZERO), None);
        assert!((clock.skew() + 3600.0).abs() < 0.1, "{}", clock.skew());
        // This answer could have come from any moment of the last second.
        let before = clock.0.state.lock().at_start;
        assert_eq!(answer(&clock, hour, Duration::from_secs(1)), None);
        assert_eq!(clock.0.state.lock().at_start, before);
    }

    #[test]
    fn a_clock_that_is_set_is_a_jump_and_a_correction_is_none() {
        let clock = clock();
        assert_eq!(answer(&clock, Duration::ZERO, Duration::ZERO), None);
        assert_eq!(answer(&clock, Duration::from_millis(300), Duration::ZERO), None);
        assert_eq!(clock.jumps(), 0);
        let forward = answer(&clock, Duration::from_hours(1), Duration::ZERO).unwrap();
        assert!((forward - 3599.7).abs() < 0.1, "{forward}");
        let back = answer(&clock, Duration::ZERO, Duration::ZERO).unwrap();
        assert!((back + 3600.0).abs() < 0.1, "{back}");
        assert_eq!(clock.jumps(), 2);
    }
}
