//! The circuit breaker of one source: who fails again and again is left alone for a while.

use std::time::{Duration, Instant};

/// Failures in a row after which a source is left alone.
const FAILURES: u32 = 5;
/// The longest pause that a source may ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Closed: the source is asked. Open: it is not. Half-open: one request tells.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    /// The request that tells whether the source is well again may take until then.
    probing_until: Option<Instant>,
    /// How long it is left alone.
    pause: Duration,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    HalfOpen,
    /// Nothing, for so long.
    Open(Duration),
}

impl Breaker {
    pub(super) fn new(pause: Duration) -> Self {
        Self { failures: 0, open_until: None, probing_until: None, pause }
    }

    pub(super) fn state(&self, now: Instant) -> State {
        match self.open_until {
            None => State::Closed,
            Some(until) if now < until => State::Open(until - now),
            Some(_) => State::HalfOpen,
        }
    }

    /// Asks for leave to send a request that takes at most `timeout`; else how long to wait.
    pub(super) fn permit(&mut self, now: Instant, timeout: Duration) -> Result<(), Duration> {
        match self.state(now) {
            State::Closed => Ok(()),
            State::Open(wait) => Err(wait),
            State::HalfOpen => match self.probing_until {
                Some(until) if now < until => Err(until - now),
                _ => {
                    self.probing_until = Some(now + timeout);
                    Ok(())
                }
            },
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.pause);
    }

    /// A request failed; the source may have asked for a pause.
    pub(super) fn failed(&mut self, now: Instant, asked_for: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.probing_until = None;
        let pause = (self.failures >= FAILURES).then_some(self.pause);
        let pause = asked_for.map(|pause| pause.min(LONGEST_PAUSE)).max(pause);
        if let Some(pause) = pause {
            self.open_until = self.open_until.max(Some(now + pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_request_tells() {
        let (mut breaker, now) = (Breaker::new(5 * SECOND), Instant::now());
        for _ in 0..4 {
            breaker.failed(now, None);
            assert_eq!(breaker.permit(now, SECOND), Ok(()));
        }
        breaker.succeeded();
        for _ in 0..5 {
            breaker.failed(now, None);
        }
        assert_eq!(breaker.permit(now + SECOND, SECOND), Err(4 * SECOND));
        let later = now + 5 * SECOND;
        assert_eq!(breaker.state(later), State::HalfOpen);
        assert_eq!(breaker.permit(later, SECOND), Ok(()));
        assert_eq!(breaker.permit(later, SECOND), Err(SECOND), "one request at a time");
        assert_eq!(breaker.permit(later + SECOND, SECOND), Ok(()), "the first one was dropped");
        breaker.failed(later, None);
        assert_eq!(breaker.state(later), State::Open(5 * SECOND));
        breaker.succeeded();
        assert_eq!(breaker.state(later), State::Closed);
    }

    #[test]
    fn a_source_that_asks_for_a_pause_gets_it_up_to_an_hour() {
        let (mut breaker, now) = (Breaker::new(SECOND), Instant::now());
        breaker.failed(now, Some(30 * SECOND));
        assert_eq!(breaker.state(now), State::Open(30 * SECOND));
        breaker.failed(now, Some(3 * SECOND));
        assert_eq!(breaker.state(now), State::Open(30 * SECOND), "the longer one holds");
        breaker.failed(now, Some(100_000 * SECOND));
        assert_eq!(breaker.state(now), State::Open(LONGEST_PAUSE));
    }
}
