//! Points in time and time ranges, as clients write them.

use std::{fmt, str::FromStr};

use chrono::DateTime;
use rust_decimal::{Decimal, RoundingStrategy};

/// A point in time: unix seconds (UTC), with the exact fraction that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Decimal);

/// The error for a text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time: give unix seconds such as 1717184864 or 1717184864.5, \
     or RFC 3339 such as 2024-05-31T19:47:44Z"
)]
pub struct TimeError(String);

impl UnixTime {
    /// The seconds that RFC 3339 can represent: the years 1 to 9999.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

    /// The earliest time: the beginning of the year 1.
    pub const MIN: Self = Self(Decimal::from_parts(2_006_054_656, 14, 0, true, 0));
    /// The latest time: the last second of the year 9999.
    pub const MAX: Self = Self(Decimal::from_parts(4_294_197_631, 58, 0, false, 0));

    /// Creates the time of a whole unix second.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(Decimal::from(seconds))
    }

    /// Returns the whole second that contains the time.
    pub fn second(self) -> i64 {
        // Within i64: see SECONDS.
        i64::try_from(self.0.floor().mantissa()).unwrap_or(i64::MAX)
    }

    /// Returns the first whole second at or after the time.
    pub fn second_at_or_after(self) -> i64 {
        i64::try_from(self.0.ceil().mantissa()).unwrap_or(i64::MAX)
    }

    /// Returns the time as a Redis score: the nearest double.
    pub fn as_score(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "within the calendar, far below 2^53")]
        if self.0.scale() == 0 {
            return self.second() as f64;
        }
        // The conversion of `rust_decimal` is not exact to the last bit; parsing the text is.
        self.0.to_string().parse().unwrap_or(f64::NAN)
    }

    fn round(self, strategy: RoundingStrategy) -> Self {
        Self(self.0.round_dp_with_strategy(FRACTION, strategy))
    }

    fn parse_seconds(text: &str) -> Option<Decimal> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_plain {
            return Decimal::from_str(text).ok();
        }
        // Scientific notation, which some languages use for large numbers: 1.717184864e9.
        let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
        let is_tiny = || text.parse().is_ok_and(|number: f64| number.abs() < 1e-9);
        let number = Decimal::from_scientific(text).ok();
        number.or_else(|| is_tiny().then_some(Decimal::ZERO)).filter(|_| is_number)
    }

    fn parse_rfc3339(text: &str) -> Option<Decimal> {
        // A '+' that was not escaped in a URL arrives as a space: restore the sign of the offset.
        let mut text = text.to_owned();
        if let Some((space, _)) = text.match_indices(' ').find(|&(at, _)| at > 10) {
            text.replace_range(space..=space, "+");
        }
        let time = DateTime::parse_from_rfc3339(&text).ok()?;
        let nanos = Decimal::new(i64::from(time.timestamp_subsec_nanos()), 9);
        Some((Decimal::from(time.timestamp()) + nanos).normalize())
    }
}

impl FromStr for UnixTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse_seconds(text)
            .or_else(|| Self::parse_rfc3339(text))
            .filter(|time| {
                Decimal::from(*Self::SECONDS.start()) <= *time
                    && *time <= Decimal::from(*Self::SECONDS.end())
            })
            .map(Self)
            .ok_or_else(|| TimeError(text.chars().take(60).collect()))
    }
}

/// Writes plain decimal unix seconds.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly all times are whole seconds, which are written faster as an integer.
        if self.0.scale() == 0 { self.second().fmt(f) } else { self.0.fmt(f) }
    }
}

/// The number of decimals of a second that Redis scores, which are doubles, can distinguish.
const FRACTION: u32 = 6;

/// A time range with inclusive ends; `None` leaves an end open. The ends are rounded to whole microseconds,
/// because a double would round a finer fraction to the next second (23:59:59.999999999 to midnight).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    since: Option<UnixTime>,
    until: Option<UnixTime>,
}

/// The error for a range that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("since ({since}) is after until ({until}): give the earlier time as since")]
pub struct TimeRangeError {
    since: UnixTime,
    until: UnixTime,
}

impl TimeRange {
    /// Creates the range from `since` to `until`, both inclusive; `None` leaves that end open.
    ///
    /// # Errors
    /// Returns an error if `since` is after `until`.
    pub fn new(since: Option<UnixTime>, until: Option<UnixTime>) -> Result<Self, TimeRangeError> {
        match (since, until) {
            (Some(since), Some(until)) if since > until => Err(TimeRangeError { since, until }),
            _ => Ok(Self {
                since: since.map(|since| since.round(RoundingStrategy::ToPositiveInfinity)),
                until: until.map(|until| until.round(RoundingStrategy::ToNegativeInfinity)),
            }),
        }
    }

    /// Returns the first instant in the range.
    pub fn since(&self) -> Option<UnixTime> {
        self.since
    }

    /// Returns the last instant in the range.
    pub fn until(&self) -> Option<UnixTime> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> String {
        text.parse::<UnixTime>().unwrap().to_string()
    }

    #[test]
    fn unix_seconds_and_rfc_3339_are_parsed() {
        for (text, seconds) in [
            ("0", "0"),
            ("1717184864", "1717184864"),
            ("1717184864.25", "1717184864.25"),
            ("-5", "-5"),
            ("1.717184864e9", "1717184864"),
            ("1.7171848645E+9", "1717184864.5"),
            ("1e-300", "0"),
            ("2024-05-31T19:47:44Z", "1717184864"),
            ("2024-05-31t19:47:44.250z", "1717184864.25"),
            ("2024-05-31T16:47:44-03:00", "1717184864"),
            ("2024-05-31T21:47:44+02:00", "1717184864"),
            ("2024-05-31T21:47:44 02:00", "1717184864"), // '+' lost in a URL
            ("2024-05-31 19:47:44Z", "1717184864"),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }

    #[test]
    fn anything_but_a_time_is_an_error() {
        for text in [
            "",
            " ",
            "now",
            "NaN",
            "inf",
            "e9",
            "1e400",
            "0x10",
            "1,5",
            "1717184864s",
            "2024-05-31",
            "2024-05-31T19:47:44",
            "2024-13-01T00:00:00Z",
            "99999999999999999999",
            "--1",
            "+1",
        ] {
            let error = text.parse::<UnixTime>().expect_err(text).to_string();
            assert!(error.contains("1717184864"), "{error}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_an_error() {
        let at = |seconds| Some(UnixTime::from_seconds(seconds));
        assert!(TimeRange::new(at(5), at(5)).is_ok());
        assert!(TimeRange::new(at(5), None).is_ok());
        let error = TimeRange::new(at(6), at(5)).unwrap_err().to_string();
        assert!(error.contains("since (6) is after until (5)"), "{error}");
    }

    #[test]
    fn a_time_lies_between_two_whole_seconds() {
        let seconds = |text: &str| {
            let time: UnixTime = text.parse().unwrap();
            (time.second(), time.second_at_or_after())
        };
        assert_eq!(seconds("5"), (5, 5));
        assert_eq!(seconds("5.25"), (5, 6));
        assert_eq!(seconds("-5.25"), (-6, -5));
    }

    #[test]
    fn the_score_of_a_time_keeps_its_fraction() {
        let score = |text: &str| text.parse::<UnixTime>().unwrap().as_score().to_string();
        assert_eq!(score("1717184864"), "1717184864");
        assert_eq!(score("1717184864.1"), "1717184864.1");
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_a_clear_error(text in ".{0,40}") {
            if let Err(error) = text.parse::<UnixTime>() {
                prop_assert!(error.to_string().contains("RFC 3339"));
            }
        }

        #[test]
        fn both_notations_of_a_time_are_equal(
            seconds in UnixTime::SECONDS, millis in 0u32..1000, offset_minutes in -720i32..=720,
        ) {
            let utc = DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap();
            let offset = chrono::FixedOffset::east_opt(offset_minutes * 60).unwrap();
            let expected = Decimal::from(seconds) + Decimal::new(i64::from(millis), 3);
            prop_assert_eq!(UnixTime(expected), expected.to_string().parse().unwrap());
            // Near the ends of the calendar an offset can lead to a year without four digits.
            let written = utc.with_timezone(&offset).to_rfc3339();
            if written.as_bytes().get(4) == Some(&b'-') && !written.starts_with("0000") {
                prop_assert_eq!(UnixTime(expected.normalize()), written.parse().unwrap());
            }
        }
    }
}
