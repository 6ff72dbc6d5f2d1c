//! Which log lines an outage of Redis gets: one when it starts, one a minute while it lasts, one when it
//! ends. Depends on nothing; moments are durations since some moment of the past.

use std::time::Duration;

/// An outage before the first answer that is not longer than this is not reported: Redis and this
/// process were started together.
const STARTING: Duration = Duration::from_secs(2);
/// How often an outage that goes on is reported again.
const REMINDER: Duration = Duration::from_mins(1);

/// What is to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// An outage has started.
    Started,
    /// It has lasted for so long and goes on.
    Lasts(Duration),
    /// It has ended after so long.
    Ended(Duration),
}

/// The outages of one Redis, as one process sees them.
#[derive(Debug, Default)]
pub(super) struct Outages {
    has_answered: bool,
    /// When the current outage started.
    since: Option<Duration>,
    /// When it was reported for the last time.
    reported: Option<Duration>,
}

impl Outages {
    /// Redis has answered at the moment `now`.
    pub(super) fn answered(&mut self, now: Duration) -> Option<Report> {
        self.has_answered = true;
        let since = self.since.take()?;
        self.reported.take()?;
        Some(Report::Ended(now.saturating_sub(since)))
    }

    /// A request that was sent at the moment `sent` has failed at the moment `now`.
    pub(super) fn failed(&mut self, sent: Duration, now: Duration) -> Option<Report> {
        let lasted = now.saturating_sub(*self.since.get_or_insert(sent));
        let report = match self.reported {
            None if !self.has_answered && lasted <= STARTING => return None,
            None => Report::Started,
            Some(last) if now.saturating_sub(last) >= REMINDER => Report::Lasts(lasted),
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

    /// What is reported when each second in the range fails.
    fn failing(outages: &mut Outages, seconds: std::ops::Range<u32>) -> Vec<Report> {
        seconds.filter_map(|at| outages.failed(at * SECOND, at * SECOND)).collect()
    }

    #[test]
    fn an_outage_is_reported_when_it_starts_each_minute_and_when_it_ends() {
        let mut outages = Outages::default();
        assert_eq!(outages.answered(SECOND), None);
        let expected = [Report::Started, Report::Lasts(60 * SECOND), Report::Lasts(120 * SECOND)];
        assert_eq!(failing(&mut outages, 2..180), expected);
        assert_eq!(outages.answered(180 * SECOND), Some(Report::Ended(178 * SECOND)));
        assert_eq!(outages.answered(181 * SECOND), None);
        assert_eq!(failing(&mut outages, 182..183), [Report::Started]);
    }

    #[test]
    fn a_redis_that_starts_with_the_process_is_no_outage() {
        let mut outages = Outages::default();
        assert_eq!(failing(&mut outages, 0..3), []);
        assert_eq!(outages.answered(3 * SECOND), None);

        let mut outages = Outages::default();
        assert_eq!(failing(&mut outages, 0..10), [Report::Started]);
        assert_eq!(outages.answered(10 * SECOND), Some(Report::Ended(10 * SECOND)));
    }
}
