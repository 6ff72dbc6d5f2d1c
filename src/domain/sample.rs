//! A sample: a price and the second at which it was observed.

use super::{Price, PriceError};

/// One observed price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When the price was observed, in unix seconds (UTC).
    pub timestamp: i64,
    /// The price in pesos.
    pub price: Price,
}

/// A stored member that is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored member {member:?} is no sample: {reason}")]
pub struct SampleError {
    member: String,
    reason: PriceError,
}

impl Sample {
    /// The text that is stored for the sample, `<price>:<unix seconds>`: the time makes a
    /// price that is seen again a new member instead of moving the old one.
    pub fn member(&self) -> String {
        format!("{}:{}", self.price, self.timestamp)
    }

    /// Reads a stored member that tells its second itself; `None` of any other one.
    pub fn from_own_member(member: &str) -> Option<Self> {
        let (price, timestamp) = member.split_once(':')?;
        Some(Self { timestamp: timestamp.parse().ok()?, price: price.parse().ok()? })
    }

    /// Reads a stored member and its score (unix seconds). A member without ':' was written
    /// by the old stack, which stored the price alone. The score tells the time of either.
    ///
    /// # Errors
    /// If the part before the ':' is not a price.
    pub fn from_member(member: &str, score: f64) -> Result<Self, SampleError> {
        let text = member.split_once(':').map_or(member, |(price, _)| price);
        let price = text
            .parse()
            .map_err(|reason| SampleError { member: member.chars().take(80).collect(), reason })?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "unix seconds are far below 2^53; a float cast saturates"
        )]
        let timestamp = score.floor() as i64;
        Ok(Self { timestamp, price })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_back_as_it_was_written() {
        let sample = Sample { timestamp: 1_717_184_864, price: "84436700.0".parse().unwrap() };
        assert_eq!(sample.member(), "84436700.0:1717184864");
        assert_eq!(Sample::from_member(&sample.member(), 1_717_184_864.0), Ok(sample));
    }

    #[test]
    fn a_legacy_member_is_a_price_alone() {
        let sample = Sample::from_member("84436700.0", 1_717_184_864.75).unwrap();
        assert_eq!(sample.timestamp, 1_717_184_864);
        assert_eq!(sample.price.to_string(), "84436700.0");
    }

    #[test]
    fn anything_else_is_an_error_that_shows_it() {
        for member in ["", ":5", "abc:5", "-1:5"] {
            let error = Sample::from_member(member, 5.0).unwrap_err().to_string();
            assert!(error.contains(&format!("{member:?}")), "{error}");
        }
    }
}
