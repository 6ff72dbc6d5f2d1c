//! Decides when an outage of Redis is logged: at its start, once a minute while it lasts, and at its end.
//! Depends on nothing. Moments are durations since a fixed moment in the past.

use std::time::Duration;

/// An outage before the first response is not reported if it is not longer than this, because Redis and this
/// process may have been started together.
const STARTUP_GRACE: Duration = Duration::from_secs(2);
/// The interval between two reports of the same outage.
const REMINDER: Duration = Duration::from_mins(1);

/// An event to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// An outage has started.
    Started,
    /// The outage has lasted for the given time and continues.
    Ongoing(Duration),
    /// The outage has ended after the given time.
    Ended(Duration),
}

/// The outages of one Redis, as observed by one process.
#[derive(Debug, Default)]
pub(super) struct Outages {
    has_responded: bool,
    /// When the current outage started.
    since: Option<Duration>,
    /// When the current outage was last reported.
    reported: Option<Duration>,
}

impl Outages {
    /// Applies that Redis responded at the moment `now`.
    pub(super) fn record_success(&mut self, now: Duration) -> Option<Report> {
        self.has_responded = true;
        let since = self.since.take()?;
        self.reported.take()?;
        Some(Report::Ended(now.saturating_sub(since)))
    }

    /// Applies that a request sent at the moment `sent` failed at the moment `now`.
    pub(super) fn record_failure(&mut self, sent: Duration, now: Duration) -> Option<Report> {
        let lasted = now.saturating_sub(*self.since.get_or_insert(sent));
        let report = match self.reported {
            None if !self.has_responded && lasted <= STARTUP_GRACE => return None,
            None => Report::Started,
            Some(last) if now.saturating_sub(last) >= REMINDER => Report::Ongoing(lasted),
            Some(_) => return None,
        };
        self.reported = Some(now);
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the reports if a request in each second of the range fails.
    fn failing(outages: &mut Outages, seconds: std::ops::Range<u32>) -> Vec<Report> {
        seconds.filter_map(|at| outages.record_failure(at * SECOND, at * SECOND)).collect()
    }

    #[test]
    fn an_outage_is_reported_at_its_start_each_minute_and_at_its_end() {
        let mut outages = Outages::default();
        assert_eq!(outages.record_success(SECOND), None);
        let expected =
            [Report::Started, Report::Ongoing(60 * SECOND), Report::Ongoing(120 * SECOND)];
        assert_eq!(failing(&mut outages, 2..180), expected);
        assert_eq!(outages.record_success(180 * SECOND), Some(Report::Ended(178 * SECOND)));
        assert_eq!(outages.record_success(181 * SECOND), None);
        assert_eq!(failing(&mut outages, 182..183), [Report::Started]);
    }

    #[test]
    fn a_redis_that_starts_with_the_process_is_not_reported_as_an_outage() {
        let mut outages = Outages::default();
        assert_eq!(failing(&mut outages, 0..3), []);
        assert_eq!(outages.record_success(3 * SECOND), None);

        let mut outages = Outages::default();
        assert_eq!(failing(&mut outages, 0..10), [Report::Started]);
        assert_eq!(outages.record_success(10 * SECOND), Some(Report::Ended(10 * SECOND)));
    }
}
