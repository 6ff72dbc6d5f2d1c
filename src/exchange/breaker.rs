//! The circuit breaker of one source: after repeated failures no requests are sent for a while.

use std::time::{Duration, Instant};

use crate::domain::CircuitState;

/// Consecutive failures after which the circuit opens.
const FAILURES: u32 = 5;
/// The longest pause that a source may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Decides whether requests may be sent to a source.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    /// While half-open: when the trial request times out at the latest.
    trial_until: Option<Instant>,
    /// How long the circuit stays open after failures.
    pause: Duration,
}

impl Breaker {
    pub(super) fn new(pause: Duration) -> Self {
        Self { failures: 0, open_until: None, trial_until: None, pause }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match self.open_until {
            None => CircuitState::Closed,
            Some(until) if now < until => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        }
    }

    /// How much longer the circuit is open; `None` if it is not.
    pub(super) fn open_for(&self, now: Instant) -> Option<Duration> {
        self.open_until.filter(|until| now < *until).map(|until| until - now)
    }

    /// Permits a request that takes at most `timeout`, or returns how long to wait. Only one request at a
    /// time is permitted while the circuit is half-open.
    pub(super) fn permit(&mut self, now: Instant, timeout: Duration) -> Result<(), Duration> {
        if let Some(wait) = self.open_for(now) {
            return Err(wait);
        }
        if self.state(now) == CircuitState::HalfOpen {
            if let Some(until) = self.trial_until.filter(|until| now < *until) {
                return Err(until - now);
            }
            self.trial_until = Some(now + timeout);
        }
        Ok(())
    }

    /// Records that a request succeeded: closes the circuit.
    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.pause);
    }

    /// Records that a request failed. `requested` is the pause that the source has asked for.
    pub(super) fn failed(&mut self, now: Instant, requested: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.trial_until = None;
        let pause = (self.failures >= FAILURES).then_some(self.pause);
        let pause = requested.map(|pause| pause.min(LONGEST_PAUSE)).max(pause);
        if let Some(pause) = pause {
            self.open_until = self.open_until.max(Some(now + pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A breaker that has failed this often in a row.
    fn failed(times: u32, pause: Duration, now: Instant) -> Breaker {
        let mut breaker = Breaker::new(pause);
        for _ in 0..times {
            breaker.failed(now, None);
        }
        breaker
    }

    #[test]
    fn the_circuit_opens_after_five_consecutive_failures() {
        let now = Instant::now();
        let mut breaker = failed(4, 5 * SECOND, now);
        assert_eq!(breaker.state(now), CircuitState::Closed);
        assert_eq!(breaker.permit(now, SECOND), Ok(()));
        breaker.failed(now, None);
        assert_eq!(breaker.state(now), CircuitState::Open);
        assert_eq!(breaker.open_for(now), Some(5 * SECOND));
        assert_eq!(breaker.permit(now + SECOND, SECOND), Err(4 * SECOND));
    }

    #[test]
    fn a_success_resets_the_count_of_failures() {
        let now = Instant::now();
        let mut breaker = failed(4, SECOND, now);
        breaker.succeeded();
        breaker.failed(now, None);
        assert_eq!(breaker.state(now), CircuitState::Closed);
    }

    #[test]
    fn a_half_open_circuit_permits_one_request_at_a_time() {
        let now = Instant::now();
        let mut breaker = failed(5, 5 * SECOND, now);
        let later = now + 5 * SECOND;
        assert_eq!(breaker.state(later), CircuitState::HalfOpen);
        assert_eq!(breaker.open_for(later), None);
        assert_eq!(breaker.permit(later, SECOND), Ok(()));
        assert_eq!(breaker.permit(later, SECOND), Err(SECOND));
        assert_eq!(breaker.permit(later + SECOND, SECOND), Ok(()), "the trial has timed out");
    }

    #[test]
    fn the_trial_request_closes_or_opens_the_circuit() {
        let now = Instant::now();
        let mut breaker = failed(5, 5 * SECOND, now);
        let later = now + 5 * SECOND;
        breaker.failed(later, None);
        assert_eq!(breaker.open_for(later), Some(5 * SECOND));
        breaker.succeeded();
        assert_eq!(breaker.state(later), CircuitState::Closed);
    }

    #[test]
    fn a_requested_pause_is_granted_up_to_an_hour() {
        let (mut breaker, now) = (Breaker::new(SECOND), Instant::now());
        breaker.failed(now, Some(30 * SECOND));
        assert_eq!(breaker.open_for(now), Some(30 * SECOND));
        breaker.failed(now, Some(3 * SECOND));
        assert_eq!(breaker.open_for(now), Some(30 * SECOND), "the longer pause stays");
        breaker.failed(now, Some(100_000 * SECOND));
        assert_eq!(breaker.open_for(now), Some(LONGEST_PAUSE));
    }
}
