//! Times as clients write them: exact times, dates, and times relative to now.

use std::str::FromStr;

use chrono::{Days, NaiveDate};

use super::{TimeRange, TimeRangeError, UnixTime, Zone};

/// A time as a client writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Unix seconds or RFC 3339.
    Exact(UnixTime),
    /// A day: `2024-05-31`. As the start of a range it means its first second, as the end its last second.
    Date(NaiveDate),
    /// A number of seconds before now: `now`, `-90s`, `-1h`, `-7d`.
    Ago(i64),
}

/// The error for a text that is not a [`Moment`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MomentError {
    /// The format is unknown.
    #[error(
        "{0:?} is not a time: give unix seconds such as 1717184864, RFC 3339 such as \
         2024-05-31T19:47:44Z, a date such as 2024-05-31, or a time relative to now such as now, -1h \
         or -7d"
    )]
    Unknown(String),
    /// The number is so large that it probably counts parts of a second.
    #[error("{given} looks like {unit} since 1970: give seconds, such as {seconds}")]
    TooFine {
        /// The given text.
        given: String,
        /// The unit that the number probably counts.
        unit: &'static str,
        /// The same time in seconds.
        seconds: String,
    },
    /// The date is before the year 1.
    #[error("{0:?} is not within the years 1 to 9999")]
    OutOfCalendar(String),
}

/// A duration in whole seconds, as clients write it: `90`, `90s`, `5m`, `1h`, `7d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

/// The error for a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: give whole seconds such as 60, or 90s, 5m, 1h, 7d, 2w")]
pub struct SpanError(String);

/// The units of durations, in seconds.
const UNITS: [(char, i64); 5] =
    [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];

/// Units finer than a second, and how many of each make a second.
const FINER: [(&str, i128); 3] =
    [("milliseconds", 1000), ("microseconds", 1_000_000), ("nanoseconds", 1_000_000_000)];

impl Moment {
    /// Returns the first instant of the moment; `now` is the current unix second.
    pub fn first(self, now: i64, zone: Zone) -> UnixTime {
        match self {
            Self::Exact(time) => time,
            Self::Date(date) => within_calendar(zone.start_of(date)),
            Self::Ago(seconds) => within_calendar(now.saturating_sub(seconds)),
        }
    }

    /// Returns the last instant of the moment, in whole seconds if it is a day.
    pub fn last(self, now: i64, zone: Zone) -> UnixTime {
        match self {
            Self::Date(date) => {
                let next = date.checked_add_days(Days::new(1));
                within_calendar(next.map_or(i64::MAX, |next| zone.start_of(next) - 1))
            }
            other => other.first(now, zone),
        }
    }

    /// Returns the range between two moments.
    ///
    /// # Errors
    /// Returns an error if `since` is after `until`.
    pub fn range(
        since: Option<Self>,
        until: Option<Self>,
        now: i64,
        zone: Zone,
    ) -> Result<TimeRange, TimeRangeError> {
        TimeRange::new(
            since.map(|since| since.first(now, zone)),
            until.map(|until| until.last(now, zone)),
        )
    }

    fn relative(text: &str) -> Option<Self> {
        if text == "now" {
            return Some(Self::Ago(0));
        }
        let span = text.strip_prefix('-')?;
        // Without a unit, the number is a time before 1970.
        let has_unit = span.ends_with(|last: char| !last.is_ascii_digit());
        span.parse().ok().filter(|_| has_unit).map(|Span(seconds)| Self::Ago(seconds))
    }

    /// Returns an error if a number probably counts parts of a second.
    fn too_fine(text: &str) -> Option<MomentError> {
        let number: i128 = text.parse().ok()?;
        FINER.into_iter().find_map(|(unit, parts)| {
            let seconds = number / parts;
            // A time after the year 2100 is more likely given in the next finer unit.
            let is_near = (0..4_102_444_800).contains(&seconds);
            let given = text.to_owned();
            is_near.then(|| MomentError::TooFine { given, unit, seconds: seconds.to_string() })
        })
    }
}

impl Span {
    /// The maximum, in seconds; it exceeds the whole calendar.
    pub const MAX: i64 = 1_000_000_000_000;

    /// Returns the duration in seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Creates a duration of the given number of seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit));
        let (digits, seconds) = match unit {
            Some((unit, seconds)) => (text.strip_suffix(unit).unwrap_or(text), seconds),
            None => (text, 1),
        };
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.parse().ok().filter(|_| is_plain);
        let span = count.and_then(|count: i64| count.checked_mul(seconds));
        span.filter(|seconds| *seconds <= Self::MAX)
            .map(Self)
            .ok_or_else(|| SpanError(text.chars().take(40).collect()))
    }
}

/// Returns whether a text has the form of a date; chrono alone also accepts signs and spaces.
fn is_date(text: &str) -> bool {
    let is_in_place = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(is_in_place)
}

/// Returns the nearest second within the years 1 to 9999.
fn within_calendar(second: i64) -> UnixTime {
    UnixTime::from_seconds(second.clamp(UnixTime::MIN.second(), UnixTime::MAX.second()))
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Some(moment) = Self::relative(text) {
            return Ok(moment);
        }
        if is_date(text)
            && let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        {
            let year_1 = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
            let is_in_calendar = date >= year_1;
            return is_in_calendar
                .then_some(Self::Date(date))
                .ok_or_else(|| MomentError::OutOfCalendar(text.to_owned()));
        }
        text.parse().map(Self::Exact).map_err(|_| {
            let shown = || text.chars().take(60).collect();
            Self::too_fine(text).unwrap_or_else(|| MomentError::Unknown(shown()))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_717_184_864; // 2024-05-31T19:47:44Z

    fn first(text: &str) -> i64 {
        text.parse::<Moment>().unwrap().first(NOW, Zone::UTC).second()
    }

    fn last(text: &str, zone: Zone) -> i64 {
        text.parse::<Moment>().unwrap().last(NOW, zone).second()
    }

    #[test]
    fn times_may_be_relative_to_now() {
        for (text, seconds) in
            [("now", 0), ("-0s", 0), ("-90s", 90), ("-5m", 300), ("-1h", 3600), ("-7d", 604_800)]
        {
            assert_eq!(first(text), NOW - seconds, "{text}");
        }
        assert_eq!(first("-2w"), NOW - 1_209_600);
        assert_eq!(first("-9999999d"), UnixTime::MIN.second(), "no earlier than the year 1");
    }

    #[test]
    fn a_date_is_the_whole_day() {
        assert_eq!(first("2024-05-31"), 1_717_113_600);
        assert_eq!(last("2024-05-31", Zone::UTC), 1_717_199_999);
        let argentina: Zone = "America/Argentina/Buenos_Aires".parse().unwrap();
        assert_eq!(last("2024-05-31", argentina), 1_717_199_999 + 3 * 3600);
        let at = |text: &str| Some(text.parse::<Moment>().unwrap());
        let day = Moment::range(at("2024-05-31"), at("2024-05-31"), NOW, Zone::UTC).unwrap();
        let ends = [day.since(), day.until()].map(|end| end.unwrap().second());
        assert_eq!(ends, [1_717_113_600, 1_717_199_999]);
    }

    #[test]
    fn parts_of_a_second_are_an_error_that_suggests_seconds() {
        for (text, unit) in [
            ("1717184864000", "milliseconds"),
            ("1717184864000000", "microseconds"),
            ("1717184864000000000", "nanoseconds"),
        ] {
            let error = text.parse::<Moment>().unwrap_err().to_string();
            assert!(error.contains(unit) && error.ends_with("such as 1717184864"), "{error}");
        }
    }

    #[test]
    fn anything_else_is_an_error_with_examples() {
        let dates = ["2024-5-31", "2024-02-30", "2024- 5-31", "+024-05-31", "2024-05-+1"];
        let others = ["", "yesterday", "-1", "-h", "-1y", "--1h", "+1h", "- 1h"];
        for text in dates.into_iter().chain(others) {
            // A negative number is a time before 1970.
            if text == "-1" {
                assert_eq!(first(text), -1);
                continue;
            }
            let error = text.parse::<Moment>().expect_err(text).to_string();
            assert!(error.contains("-7d") && error.contains("1717184864"), "{error}");
        }
    }

    #[test]
    fn a_duration_is_a_number_of_seconds_or_has_a_unit() {
        let seconds = |text: &str| text.parse().map(Span::seconds);
        for (text, expected) in
            [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("2w", 1_209_600)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        assert_eq!(seconds("1000000000000"), Ok(Span::MAX));
        for text in ["", "h", "-1", "1.5h", "1y", "1000000000001", "99999999999999999999"] {
            assert_eq!(seconds(text), Err(SpanError(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_a_short_error(
            text in "-?[0-9]{0,40}[smhdw]?|[0-9.e+-]{0,12}|.{0,200}",
        ) {
            match text.parse::<Moment>() {
                Ok(moment) => {
                    let (first, last) = (moment.first(NOW, Zone::UTC), moment.last(NOW, Zone::UTC));
                    prop_assert!(UnixTime::MIN <= first && first <= last && last <= UnixTime::MAX);
                }
                Err(error) => prop_assert!(error.to_string().len() < 700, "{error}"),
            }
        }
    }
}
