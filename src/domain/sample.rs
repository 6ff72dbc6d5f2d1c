//! A sample: a price and the time at which it was observed.

use std::{cmp::Ordering, fmt};

use super::{Price, PriceError, UnixTime};

/// The time of a sample: unix seconds (UTC) within the years 1 to 9999, as the double that Redis stores as a
/// score. Cotiza records whole seconds; samples of the old stack have fractions.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp(f64);

/// One observed price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The time at which the price was observed.
    pub timestamp: Timestamp,
    /// The price in pesos.
    pub price: Price,
}

/// Why a stored member is not a sample.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The part before the ':' is not a price.
    #[error("the stored member {member:?} is not a sample: {reason}")]
    NotAPrice {
        /// The beginning of the member.
        member: String,
        /// What is wrong with the price.
        reason: PriceError,
    },
    /// The score is not within the years 1 to 9999.
    #[error("the stored member {member:?} is not a sample: its score {score} is not a unix time")]
    NotATime {
        /// The beginning of the member.
        member: String,
        /// The score.
        score: f64,
    },
}

impl Timestamp {
    /// Creates the timestamp of a whole unix second, which must lie within the years 1 to 9999.
    pub fn from_second(second: i64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "within the calendar, far below 2^53")]
        Self(second as f64)
    }

    /// Returns the timestamp of a score; `None` outside of the years 1 to 9999.
    pub fn from_score(score: f64) -> Option<Self> {
        let calendar = UnixTime::MIN.as_score()..UnixTime::MAX.as_score() + 1.0;
        // Adding 0 turns -0 into 0, so that equal scores have equal bits.
        calendar.contains(&score).then_some(Self(score + 0.0))
    }

    /// Returns the time as a score.
    pub fn score(self) -> f64 {
        self.0
    }

    /// Returns the time in microseconds, rounded to the nearest.
    pub fn micros(self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "less than a second")]
        let fraction = ((self.0 - self.0.floor()) * 1e6).round() as i64;
        self.second() * 1_000_000 + fraction
    }

    /// Returns the unix second that contains the time.
    pub fn second(self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "within the calendar")]
        let second = self.0.floor() as i64;
        second
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Writes plain decimal unix seconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sample {
    /// Returns the member that is stored for the sample, `<price>:<unix seconds>`. Because of the time, a
    /// price that is observed again becomes a new member instead of moving the old one.
    pub fn member(&self) -> String {
        format!("{}:{}", self.price, self.timestamp)
    }

    /// Parses a stored member and its score, which is the time. The old stack stored the price alone, without
    /// ':'.
    ///
    /// # Errors
    /// Returns an error if the part before the ':' is not a price, or the score is not a time.
    pub fn from_member(member: &str, score: f64) -> Result<Self, SampleError> {
        let shown = || member.chars().take(80).collect();
        let text = member.split_once(':').map_or(member, |(price, _)| price);
        let price =
            text.parse().map_err(|reason| SampleError::NotAPrice { member: shown(), reason })?;
        let timestamp = Timestamp::from_score(score)
            .ok_or_else(|| SampleError::NotATime { member: shown(), score })?;
        Ok(Self { timestamp, price })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_round_trips() {
        for (member, score) in
            [("84436700.0:1717184864", 1_717_184_864.0), ("5.50:1717184864.25", 1_717_184_864.25)]
        {
            let sample = Sample::from_member(member, score).unwrap();
            assert_eq!(sample.member(), member);
            assert_eq!(sample.timestamp.second(), 1_717_184_864);
        }
    }

    #[test]
    fn a_legacy_member_is_a_price_alone() {
        let sample = Sample::from_member("84436700.0", 1_717_184_864.75).unwrap();
        assert_eq!(sample.timestamp.score().to_string(), "1717184864.75");
        assert_eq!(sample.price.to_string(), "84436700.0");
    }

    #[test]
    fn anything_else_is_an_error_that_names_the_member() {
        for member in ["", ":5", "abc:5", "-1:5"] {
            let error = Sample::from_member(member, 5.0).unwrap_err().to_string();
            assert!(error.contains(&format!("{member:?}")), "{error}");
        }
        for score in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e15, -1e15, 253_402_300_800.0] {
            let error = Sample::from_member("5.0", score).unwrap_err().to_string();
            assert!(error.contains("is not a unix time"), "{error}");
        }
        assert!(Sample::from_member("5.0", 253_402_300_799.5).is_ok());
    }

    #[test]
    fn the_microseconds_of_a_time_are_rounded_to_the_nearest() {
        let micros = |score| Timestamp::from_score(score).unwrap().micros();
        assert_eq!(micros(1_717_184_864.25), 1_717_184_864_250_000);
        assert_eq!(micros(-0.25), -250_000);
        assert_eq!(micros(2.000_000_6), 2_000_001);
    }

    #[test]
    fn times_are_equal_only_if_their_scores_are() {
        let [early, late] = [5.25, 5.5].map(|score| Timestamp::from_score(score).unwrap());
        assert_ne!(early, late);
        assert_eq!(early.partial_cmp(&late), Some(Ordering::Less));
        assert_eq!(Timestamp::from_score(-0.0), Some(Timestamp::from_second(0)));
    }
}
