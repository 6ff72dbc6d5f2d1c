//! Stretches of scores of `prices`, which may have fractions.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs};

use crate::domain::{TimeRange, UnixTime};

/// A place between scores: right before a time or right after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cut {
    time: UnixTime,
    after: bool,
}

/// The scores between two cuts; an end is open where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it begins.
    pub(super) since: Option<Cut>,
    /// Where it ends.
    pub(super) until: Option<Cut>,
}

impl Cut {
    const FIRST: Self = Self { time: UnixTime::MIN, after: false };
    const LAST: Self = Self { time: UnixTime::MAX, after: true };

    pub(super) fn before(time: UnixTime) -> Self {
        Self { time, after: false }
    }

    fn after(time: UnixTime) -> Self {
        Self { time, after: true }
    }

    /// Before a whole unix second.
    pub(super) fn before_second(second: i64) -> Self {
        Self::before(UnixTime::from_seconds(second))
    }

    /// The last whole second that does not begin after it.
    pub(super) fn second(self) -> i64 {
        self.time.second()
    }

    /// The first whole second that does not begin before it.
    pub(super) fn second_at_or_after(self) -> i64 {
        let second = self.time.second_at_or_after();
        second + i64::from(self > Self::before_second(second))
    }
}

/// An end of a span, as Redis takes the first or the last score of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The first score.
    First(Option<Cut>),
    /// The last one.
    Last(Option<Cut>),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, excluded) = match *self {
            Self::First(None) => return f.write_str("-inf"),
            Self::Last(None) => return f.write_str("+inf"),
            Self::First(Some(Cut { time, after })) => (time, after),
            Self::Last(Some(Cut { time, after })) => (time, !after),
        };
        f.write_str(if excluded { "(" } else { "" })?;
        time.fmt(f)
    }
}

impl ToRedisArgs for Bound {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl Span {
    /// No score at all.
    pub(super) const NOTHING: Self = Self { since: Some(Cut::LAST), until: Some(Cut::FIRST) };

    /// The seconds `[from, until)`.
    pub(super) fn of_seconds(from: i64, until: i64) -> Self {
        Self { since: Some(Cut::before_second(from)), ..Self::before_second(until) }
    }

    /// All before a second.
    pub(super) fn before_second(until: i64) -> Self {
        Self { since: None, until: Some(Cut::before_second(until)) }
    }

    /// Where it begins at the earliest.
    pub(super) fn start(&self) -> Cut {
        self.since.unwrap_or(Cut::FIRST)
    }

    /// Where it ends at the latest.
    pub(super) fn end(&self) -> Cut {
        self.until.unwrap_or(Cut::LAST)
    }

    /// Its ends as Redis takes scores.
    pub(super) fn bounds(&self) -> (Bound, Bound) {
        (Bound::First(self.since), Bound::Last(self.until))
    }
}

impl From<&TimeRange> for Span {
    fn from(range: &TimeRange) -> Self {
        Self { since: range.since().map(Cut::before), until: range.until().map(Cut::after) }
    }
}
