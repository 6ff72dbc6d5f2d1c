//! How time is divided into candles: by seconds, or by the calendar of a time zone.

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta,
    TimeZone as _,
};
use chrono_tz::Tz;

/// A time zone of the IANA database, by its name: `America/Argentina/Buenos_Aires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

/// A text that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time zone: give a name of the IANA database, such as UTC or \
     America/Argentina/Buenos_Aires"
)]
pub struct ZoneError(String);

/// The length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// So many seconds, counted from the Unix epoch.
    Seconds(i64),
    /// So many days of the calendar, counted from 1970-01-01.
    Days(i64),
    /// So many weeks, which begin on Mondays, counted from 1970-01-05.
    Weeks(i64),
    /// So many months, counted from January 1970.
    Months(i64),
}

/// A text that is no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an interval: give a number with a unit, such as 10s, 1m, 5m, 15m, 1h, 4h, 1d, 1w or \
     1M (a month)"
)]
pub struct IntervalError(String);

/// The most that an interval may span, so that its ends stay within the calendar: 100 years.
const MOST: [(char, i64); 6] = [
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

    /// The first unix second of a day. Where the clock is set forward at midnight, a day begins later.
    pub fn start_of(self, date: NaiveDate) -> i64 {
        let midnight = date.and_time(NaiveTime::MIN);
        // At most a whole day was ever skipped.
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

    /// What the clocks of the zone show at a unix second; `None` beyond all calendars.
    pub fn local(self, second: i64) -> Option<NaiveDateTime> {
        Some(DateTime::from_timestamp(second, 0)?.with_timezone(&self.0).naive_local())
    }

    /// The day that a unix second lies in.
    fn date(self, second: i64) -> NaiveDate {
        let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
        time.with_timezone(&self.0).date_naive()
    }
}

impl Interval {
    /// The first unix second of the interval that a unix second lies in.
    pub fn start_of(self, second: i64, zone: Zone) -> i64 {
        match self.calendar_start(second, zone) {
            None => self.seconds_start(second),
            Some(date) => {
                let start = zone.start_of(date);
                // A clock that was set back at midnight has a second of this date before its start.
                if start <= second { start } else { self.start_of(start - 1, zone).min(second) }
            }
        }
    }

    /// The first unix second after the interval that begins at `start`.
    pub fn end_of(self, start: i64, zone: Zone) -> i64 {
        let (mut date, step) = match (self, self.calendar_start(start, zone)) {
            (Self::Seconds(length), _) => return start + length,
            (_, None) => return start + 1,
            (step, Some(date)) => (date, step),
        };
        loop {
            date = step.after(date);
            let end = zone.start_of(date);
            // A day that was skipped has no second.
            if end > start {
                return end;
            }
        }
    }

    /// The length in seconds, unless the calendar says it.
    pub fn seconds(self) -> Option<i64> {
        if let Self::Seconds(seconds) = self { Some(seconds) } else { None }
    }

    fn seconds_start(self, second: i64) -> i64 {
        let length = self.seconds().unwrap_or(1);
        second.div_euclid(length) * length
    }

    /// The first day of the interval that a unix second lies in.
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

    /// The first day of the interval after the one that begins on a day.
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

/// The day so many days after 1970-01-01.
fn day(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(days).ok()?)
}

/// The first day of the month so many months after January 1970.
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
            let (unit, most) = MOST.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
            let digits = text.strip_suffix(unit)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: i64 = digits.parse().ok().filter(|_| plain)?;
            (1..=most).contains(&count).then_some(match unit {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    fn of(interval: &str, zone: &str, second: i64) -> (i64, i64) {
        let (interval, zone): (Interval, Zone) = (interval.parse().unwrap(), zone.parse().unwrap());
        let start = interval.start_of(second, zone);
        (start, interval.end_of(start, zone))
    }

    #[test]
    fn days_weeks_and_months_are_those_of_the_time_zone() {
        let argentina = "America/Argentina/Buenos_Aires";
        let friday = at("2024-05-31T23:30:00-03:00");
        let ends = |start, end| (at(start), at(end));
        assert_eq!(
            of("1d", argentina, friday),
            ends("2024-05-31T00:00:00-03:00", "2024-06-01T00:00:00-03:00")
        );
        assert_eq!(of("1d", "UTC", friday).0, at("2024-06-01T00:00:00Z"));
        assert_eq!(
            of("1w", argentina, friday),
            ends("2024-05-27T00:00:00-03:00", "2024-06-03T00:00:00-03:00")
        );
        assert_eq!(
            of("1M", argentina, friday),
            ends("2024-05-01T00:00:00-03:00", "2024-06-01T00:00:00-03:00")
        );
        assert_eq!(of("3M", "UTC", friday), ends("2024-04-01T00:00:00Z", "2024-07-01T00:00:00Z"));
        assert_eq!(of("4h", argentina, friday).0, at("2024-06-01T00:00:00Z"));
    }

    #[test]
    fn a_day_has_the_hours_that_its_clocks_show() {
        // In Berlin clocks were set forward on 2024-03-31 and back on 2024-10-27.
        let day = |date: &str, zone: &str| {
            let (start, end) = of("1d", zone, at(date));
            (end - start) / 3600
        };
        assert_eq!(day("2024-03-31T12:00:00+02:00", "Europe/Berlin"), 23);
        assert_eq!(day("2024-10-27T12:00:00+01:00", "Europe/Berlin"), 25);
        // In Argentina clocks were set forward at midnight: the day began at one o'clock.
        let (start, end) =
            of("1d", "America/Argentina/Buenos_Aires", at("2008-10-19T12:00:00-02:00"));
        assert_eq!((start, end - start), (at("2008-10-19T01:00:00-02:00"), 23 * 3600));
        // Samoa had no 30 December 2011.
        let (start, end) = of("1d", "Pacific/Apia", at("2011-12-29T12:00:00-10:00"));
        assert_eq!((end, end - start), (at("2011-12-31T00:00:00+14:00"), 24 * 3600));
    }

    #[test]
    fn anything_else_is_an_error_with_examples() {
        for text in ["", "1", "m", "0s", "-1m", "1.5h", "1y", "1 m", "+1m", "99999999999d", "101M0"]
        {
            let error = text.parse::<Interval>().expect_err(text).to_string();
            assert!(error.contains("1d"), "{error}");
        }
        let error = "Buenos_Aires".parse::<Zone>().unwrap_err().to_string();
        assert!(error.contains("America/Argentina/Buenos_Aires"), "{error}");
    }

    proptest! {
        /// Intervals follow each other without gap or overlap, whatever clocks do.
        #[test]
        fn intervals_cover_all_time(
            second in -2_000_000_000i64..4_000_000_000,
            interval in prop::sample::select(
                vec!["10s", "7m", "4h", "1d", "3d", "1w", "2w", "1M", "3M", "12M"]),
            zone in prop::sample::select(vec![
                "UTC", "America/Argentina/Buenos_Aires", "Europe/Berlin", "Asia/Kathmandu",
                "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Tehran"]),
        ) {
            let (interval, zone): (Interval, Zone) =
                (interval.parse().unwrap(), zone.parse().unwrap());
            let start = interval.start_of(second, zone);
            let end = interval.end_of(start, zone);
            prop_assert!(start <= second && second < end, "{start} {second} {end}");
            for inside in [start, i64::midpoint(start, end), end - 1] {
                prop_assert_eq!(interval.start_of(inside, zone), start);
            }
            prop_assert_eq!(interval.start_of(end, zone), end);
        }
    }
}
