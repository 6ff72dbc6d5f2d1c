//! The reference clock, which is that of Redis. Every process estimates it, so that a wrong clock of a
//! machine does not affect recording, deletion and reports. Depends on `connection` and `telemetry`.
//!
//! Redis reads its clock between the sending of `TIME` and the receipt of the response. Each response thus
//! bounds the clock of Redis to an interval, and the estimate is moved into it, only as far as necessary.
//! Between two responses, and during an outage of Redis, the estimate follows the monotonic clock of the
//! machine.

mod follow;
mod outage;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The first use of the clock in this process; the origin of [`uptime`] on systems other than Linux.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A correction of the estimate by more than this is a jump: the clock of Redis was set.
const JUMP_THRESHOLD: Duration = Duration::from_secs(1);
/// A difference between the clocks of this machine and of Redis above this is logged.
const SKEW_LIMIT: Duration = Duration::from_secs(1);

/// The estimate of the clock of Redis in one process. Clones share it. Until the first response of Redis it
/// equals the clock of this machine.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// When the clock was created, as an [`uptime`].
    created: Duration,
    state: Mutex<State>,
    /// How often the estimate was set: once at the first response, and once at each jump.
    times_set: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// The time of Redis when this clock was created, since the Unix epoch (UTC).
    at_creation: Duration,
    /// Whether a warning about the clock of this machine is in force.
    is_reported: bool,
    /// The number of jumps that have been recorded in Redis.
    recorded_jumps: u64,
    /// When the last jump was detected, as an [`uptime`].
    last_jump: Option<Duration>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::created_at(uptime(), machine_time())
    }
}

impl Clock {
    fn created_at(created: Duration, at_creation: Duration) -> Self {
        let state = State { at_creation, is_reported: false, recorded_jumps: 0, last_jump: None };
        let (times_set, _) = watch::channel(0);
        Self(Arc::new(Shared { created, state: Mutex::new(state), times_set }))
    }

    /// Returns a clock that shows the time of this machine, for use without Redis.
    pub fn machine() -> Self {
        let clock = Self::default();
        clock.0.times_set.send_replace(1);
        clock
    }

    /// Returns the time since the Unix epoch (UTC).
    pub fn now(&self) -> Duration {
        self.0.state.lock().at_creation + uptime().saturating_sub(self.0.created)
    }

    /// Returns the current unix second (UTC).
    pub fn unix_seconds(&self) -> i64 {
        i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// Returns the time from now until a unix second (UTC); zero if it has passed.
    pub fn until(&self, unix_second: i64) -> Duration {
        u64::try_from(unix_second)
            .map(|second| Duration::from_secs(second).saturating_sub(self.now()))
            .unwrap_or_default()
    }

    /// Returns how far the clock of this machine is ahead of the clock of Redis, in seconds; negative if it
    /// is behind.
    pub fn skew(&self) -> f64 {
        machine_time().as_secs_f64() - self.now().as_secs_f64()
    }

    /// Waits for the first response of Redis.
    pub async fn synchronized(&self) {
        let mut times_set = self.0.times_set.subscribe();
        // It cannot fail: this clock owns the sender.
        let _set = times_set.wait_for(|times_set| *times_set > 0).await;
    }

    /// Returns how often the clock of Redis was set by more than a second since its first response.
    pub fn jumps(&self) -> u64 {
        self.0.times_set.borrow().saturating_sub(1)
    }

    /// Returns the number of jumps, if some of them have not been recorded in Redis.
    pub fn unrecorded_jumps(&self) -> Option<u64> {
        Some(self.jumps()).filter(|jumps| *jumps > self.0.state.lock().recorded_jumps)
    }

    /// Notes that the given number of jumps has been recorded in Redis.
    pub fn mark_jumps_recorded(&self, jumps: u64) {
        self.0.state.lock().recorded_jumps = jumps;
    }

    /// Returns the time since the last jump.
    pub fn since_jump(&self) -> Option<Duration> {
        self.0.state.lock().last_jump.map(|at| uptime().saturating_sub(at))
    }

    /// Waits until the estimate is set the next time.
    pub async fn jumped(&self) {
        let _changed = self.0.times_set.subscribe().changed().await;
    }

    /// Applies a response of Redis; `sent` and `received` are [`uptime`]s. Returns by how many seconds the
    /// estimate was moved, if that was a jump.
    fn apply_response(&self, sent: Duration, received: Duration, time: Duration) -> Option<f64> {
        let since_start = |moment: Duration| moment.saturating_sub(self.0.created);
        let earliest = time.saturating_sub(since_start(received));
        let latest = time.saturating_sub(since_start(sent));
        let mut state = self.0.state.lock();
        let before = state.at_creation;
        let is_first = *self.0.times_set.borrow() == 0;
        state.at_creation =
            if is_first { (earliest + latest) / 2 } else { before.clamp(earliest, latest) };
        let jumped = !is_first && before.abs_diff(state.at_creation) > JUMP_THRESHOLD;
        if jumped {
            state.last_jump = Some(received);
        }
        let by = state.at_creation.as_secs_f64() - before.as_secs_f64();
        drop(state);
        if is_first || jumped {
            self.0.times_set.send_modify(|times_set| *times_set += 1);
        }
        jumped.then_some(by)
    }

    /// Logs when the clock of this machine becomes wrong, and when it is correct again.
    fn report(&self) {
        let skew = self.skew();
        let is_reported = &mut self.0.state.lock().is_reported;
        // The lower limit avoids repeated logs if the difference varies around the limit.
        let limit = if *is_reported { SKEW_LIMIT / 2 } else { SKEW_LIMIT };
        let is_wrong = skew.abs() > limit.as_secs_f64();
        if std::mem::replace(is_reported, is_wrong) == is_wrong {
            return;
        }
        let (seconds, side) = (skew.abs(), if skew > 0.0 { "ahead of" } else { "behind" });
        if is_wrong {
            tracing::warn!(
                "the clock of this machine is {seconds:.1} s {side} the clock of Redis, \
                 which is used instead"
            );
        } else {
            tracing::info!("the clock of this machine agrees with the clock of Redis again");
        }
    }
}

/// Returns the time since a fixed moment in the past. On Linux it includes the time during which the machine
/// was suspended.
fn uptime() -> Duration {
    #[cfg(target_os = "linux")]
    if let Ok(uptime) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) {
        return uptime.into();
    }
    START.elapsed()
}

/// Returns the time of this machine since the Unix epoch (UTC); zero if it is before the epoch. Only for
/// libraries that expect the clock of the machine.
pub fn machine_time() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "the only reader of the machine's clock")]
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a clock that was created a minute ago.
    fn clock() -> Clock {
        let minute = Duration::from_mins(1);
        Clock::created_at(
            uptime().checked_sub(minute).unwrap(),
            machine_time().checked_sub(minute).unwrap(),
        )
    }

    /// Applies a response of a Redis whose clock is `ahead` of this machine, after a round trip of `trip`.
    fn respond(clock: &Clock, ahead: Duration, trip: Duration) -> Option<f64> {
        let received = uptime();
        let sent = received.checked_sub(trip).unwrap();
        clock.apply_response(
            sent,
            received,
            (machine_time() + ahead).checked_sub(trip / 2).unwrap(),
        )
    }

    #[test]
    fn the_estimate_follows_redis_and_is_not_moved_by_slow_responses() {
        let clock = clock();
        let hour = Duration::from_hours(1);
        assert_eq!(respond(&clock, hour, Duration::ZERO), None);
        assert!((clock.skew() + 3600.0).abs() < 0.1, "{}", clock.skew());
        // Redis may have read its clock at any time within the last second.
        let before = clock.0.state.lock().at_creation;
        assert_eq!(respond(&clock, hour, Duration::from_secs(1)), None);
        assert_eq!(clock.0.state.lock().at_creation, before);
    }

    #[test]
    fn setting_the_clock_is_a_jump_and_a_small_correction_is_not() {
        let clock = clock();
        assert_eq!(respond(&clock, Duration::ZERO, Duration::ZERO), None);
        assert_eq!(respond(&clock, Duration::from_millis(300), Duration::ZERO), None);
        assert_eq!(clock.jumps(), 0);
        let forward = respond(&clock, Duration::from_hours(1), Duration::ZERO).unwrap();
        assert!((forward - 3599.7).abs() < 0.1, "{forward}");
        let back = respond(&clock, Duration::ZERO, Duration::ZERO).unwrap();
        assert!((back + 3600.0).abs() < 0.1, "{back}");
        assert_eq!(clock.jumps(), 2);
    }
}
