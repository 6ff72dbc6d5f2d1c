//! The intervals of candles: a number of seconds, or days, weeks or months in the calendar of a time zone.

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta,
    TimeZone as _,
};
use chrono_tz::Tz;

/// A time zone of the IANA database, such as `America/Argentina/Buenos_Aires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

/// The error for a text that is not a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time zone: give a name of the IANA database, such as UTC or \
     America/Argentina/Buenos_Aires"
)]
pub struct ZoneError(String);

/// The length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// A number of seconds, counted from the Unix epoch.
    Seconds(i64),
    /// A number of calendar days, counted from 1970-01-01.
    Days(i64),
    /// A number of weeks, which begin on Mondays, counted from 1970-01-05.
    Weeks(i64),
    /// A number of months, counted from January 1970.
    Months(i64),
}

/// The error for a text that is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an interval: give a number with a unit, such as 10s, 1m, 5m, 15m, 1h, 4h, 1d, 1w or \
     1M (a month)"
)]
pub struct IntervalError(String);

/// The maximum length of an interval by unit, 100 years, so that its ends stay within the calendar.
const MAX_COUNTS: [(char, i64); 6] = [
    ('s', 3_155_760_000),
    ('m', 52_596_000),
    ('h', 876_600),
    ('d', 36_525),
    ('w', 5217),
    ('M', 1200),
];

/// Monday, 1970-01-05, in days after 1970-01-01.
const FIRST_MONDAY: i64 = 4;

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// Returns the first unix second of a day. If clocks are set forward at midnight, the day begins later.
    pub fn start_of(self, date: NaiveDate) -> i64 {
        let midnight = date.and_time(NaiveTime::MIN);
        // No time zone has ever skipped more than a whole day.
        for minutes in 0..=25 * 60 {
            match self.0.from_local_datetime(&(midnight + TimeDelta::minutes(minutes))) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                    return time.timestamp();
                }
                LocalResult::None => {}
            }
        }
        midnight.and_utc().timestamp()
    }

    /// Returns the local time at a unix second; `None` outside of the calendar.
    pub fn local(self, second: i64) -> Option<NaiveDateTime> {
        Some(DateTime::from_timestamp(second, 0)?.with_timezone(&self.0).naive_local())
    }

    /// Returns the day that contains a unix second.
    fn date(self, second: i64) -> NaiveDate {
        let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
        time.with_timezone(&self.0).date_naive()
    }
}

impl Interval {
    /// Returns the first unix second of the interval that contains a unix second.
    pub fn start_of(self, second: i64, zone: Zone) -> i64 {
        match self.calendar_start(second, zone) {
            None => self.seconds_start(second),
            Some(date) => {
                let start = zone.start_of(date);
                let end = self.end_of(start, zone);
                // Clocks that are set back across midnight show the end of this date once more, after the
                // next interval has begun.
                if second < end { start } else { end }
            }
        }
    }

    /// Returns the first unix second after the interval that begins at `start`.
    pub fn end_of(self, start: i64, zone: Zone) -> i64 {
        let (mut date, step) = match (self, self.calendar_start(start, zone)) {
            (Self::Seconds(length), _) => return start + length,
            (_, None) => return start + 1,
            (step, Some(date)) => (date, step),
        };
        loop {
            date = step.after(date);
            let end = zone.start_of(date);
            // A skipped day has no seconds.
            if end > start {
                return end;
            }
        }
    }

    /// Returns the length in seconds; `None` if it depends on the calendar.
    pub fn seconds(self) -> Option<i64> {
        if let Self::Seconds(seconds) = self { Some(seconds) } else { None }
    }

    fn seconds_start(self, second: i64) -> i64 {
        let length = self.seconds().unwrap_or(1);
        second.div_euclid(length) * length
    }

    /// Returns the first day of the interval that contains a unix second.
    fn calendar_start(self, second: i64, zone: Zone) -> Option<NaiveDate> {
        let date = zone.date(second);
        let days = || i64::from(date.to_epoch_days());
        match self {
            Self::Seconds(_) => None,
            Self::Days(count) => day(days().div_euclid(count) * count),
            Self::Weeks(count) => {
                let length = 7 * count;
                day((days() - FIRST_MONDAY).div_euclid(length) * length + FIRST_MONDAY)
            }
            Self::Months(count) => {
                let months = i64::from(date.year()) * 12 + i64::from(date.month0()) - 1970 * 12;
                month(months.div_euclid(count) * count)
            }
        }
    }

    /// Returns the first day of the interval that follows the one that begins on `date`.
    fn after(self, date: NaiveDate) -> NaiveDate {
        let later = |days: i64| date.checked_add_days(Days::new(days.unsigned_abs()));
        let next = match self {
            Self::Seconds(_) => None,
            Self::Days(count) => later(count),
            Self::Weeks(count) => later(7 * count),
            Self::Months(count) => {
                let months = i64::from(date.year()) * 12 + i64::from(date.month0()) - 1970 * 12;
                month(months + count)
            }
        };
        next.unwrap_or(NaiveDate::MAX)
    }
}

/// Returns the day that is `days` after 1970-01-01.
fn day(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(days).ok()?)
}

/// Returns the first day of the month that is `months` after January 1970.
fn month(months: i64) -> Option<NaiveDate> {
    let (year, month) = (1970 + months.div_euclid(12), months.rem_euclid(12) + 1);
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month).ok()?, 1)
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        text.parse().map(Self).map_err(|_| ZoneError(text.chars().take(60).collect()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let read = || {
            let (unit, max) = MAX_COUNTS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
            let digits = text.strip_suffix(unit)?;
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: i64 = digits.parse().ok().filter(|_| is_plain)?;
            (1..=max).contains(&count).then_some(match unit {
                's' => Self::Seconds(count),
                'm' => Self::Seconds(count * 60),
                'h' => Self::Seconds(count * 3600),
                'd' => Self::Days(count),
                'w' => Self::Weeks(count),
                _ => Self::Months(count),
            })
        };
        read().ok_or_else(|| IntervalError(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests;
