//! The price of one bitcoin in Argentine pesos, in exact arithmetic.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, RoundingStrategy};

/// A price in pesos: positive, at most [`Price::MAX`], with exactly the digits that the source sent.
///
/// `Display` writes plain decimal text; arithmetic uses [`Price::ten_thousandths`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    exact: Decimal,
    ten_thousandths: i64,
}

/// Why a text is not a [`Price`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The text has letters, an exponent or a sign, is NaN, or is empty.
    #[error("{0:?} is not a plain decimal number")]
    NotDecimal(String),
    /// The price is zero, or rounds to zero in 1/10000 peso.
    #[error("{0} is not a positive price")]
    NotPositive(String),
    /// The price exceeds [`Price::MAX`].
    #[error("{0} is more than {max} pesos, the largest accepted price", max = Price::MAX)]
    TooLarge(String),
}

impl Price {
    /// The largest price in pesos: up to it, readers that parse JSON numbers as IEEE 754 doubles keep the
    /// precision of 1/10000 peso (9e11 * 1e4 < 2^53).
    pub const MAX: i64 = 900_000_000_000;

    /// The number of decimals that are kept in arithmetic.
    pub const SCALE: u32 = 4;

    /// [`Price::MAX`] in 1/10000 peso.
    const MAX_TEN_THOUSANDTHS: i64 = Self::MAX * 10_i64.pow(Self::SCALE);

    /// Returns the midpoint of two prices, rounded half to even to four decimals.
    #[must_use]
    pub fn midpoint(one: Self, other: Self) -> Self {
        let sum = one.ten_thousandths + other.ten_thousandths;
        let (half, odd) = (sum / 2, sum % 2);
        let ten_thousandths = half + (odd & half);
        let exact = Decimal::new(ten_thousandths, Self::SCALE).normalize();
        Self { exact, ten_thousandths }
    }

    /// Returns the price of a number of 1/10000 pesos; `None` unless it is positive and at most
    /// [`Price::MAX`].
    pub fn from_ten_thousandths(ten_thousandths: i64) -> Option<Self> {
        (1..=Self::MAX_TEN_THOUSANDTHS).contains(&ten_thousandths).then(|| {
            let exact = Decimal::new(ten_thousandths, Self::SCALE).normalize();
            Self { exact, ten_thousandths }
        })
    }

    /// Returns the price of a whole number of pesos, limited to the range from 1 to [`Price::MAX`].
    pub fn from_pesos(pesos: u64) -> Self {
        let pesos = i64::try_from(pesos).unwrap_or(Self::MAX).clamp(1, Self::MAX);
        Self { exact: Decimal::from(pesos), ten_thousandths: pesos * 10_i64.pow(Self::SCALE) }
    }

    /// Returns the price in 1/10000 peso, rounded half to even.
    pub fn ten_thousandths(self) -> i64 {
        self.ten_thousandths
    }

    /// Returns the price in pesos as a floating-point number, for output and not for arithmetic. All kept
    /// decimals are preserved, see [`Price::MAX`].
    pub fn to_f64(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "below 2^53, see Price::MAX")]
        let whole = self.ten_thousandths as f64;
        whole / 10_000.0
    }
}

/// The powers of ten from 0 to [`Price::SCALE`].
const POWERS_OF_TEN: [i128; 5] = [1, 10, 100, 1000, 10_000];

fn round(exact: Decimal) -> Decimal {
    exact.round_dp_with_strategy(Price::SCALE, RoundingStrategy::MidpointNearestEven)
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let shown = || text.chars().take(40).collect::<String>();
        let decimal = Decimal::from_str(text).ok().filter(|_| is_plain);
        let exact = decimal.ok_or_else(|| PriceError::NotDecimal(shown()))?;
        // Nearly all prices have at most the kept number of decimals, so that nothing is rounded.
        let is_too_fine = exact.scale() > Self::SCALE;
        let kept = if is_too_fine { round(exact) } else { exact };
        let missing = usize::try_from(Self::SCALE.saturating_sub(kept.scale())).unwrap_or_default();
        let factor = POWERS_OF_TEN.get(missing).copied().unwrap_or(1);
        let ten_thousandths = i64::try_from(kept.mantissa() * factor).unwrap_or(i64::MAX);
        if ten_thousandths > Self::MAX_TEN_THOUSANDTHS
            || is_too_fine && exact > Decimal::from(Self::MAX)
        {
            return Err(PriceError::TooLarge(shown()));
        }
        if ten_thousandths <= 0 {
            return Err(PriceError::NotPositive(shown()));
        }
        Ok(Self { exact, ten_thousandths })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exact.fmt(f)
    }
}

/// Converts a number of 1/10000 pesos to pesos.
pub fn pesos(ten_thousandths: i64) -> Decimal {
    Decimal::new(ten_thousandths, Price::SCALE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_price_that_round_trips_or_a_short_error(text in "[-+0-9.eE ]{0,50}|.{0,300}") {
            match text.parse::<Price>() {
                Ok(price) => {
                    let again: Price = price.to_string().parse().unwrap();
                    prop_assert_eq!(again.ten_thousandths(), price.ten_thousandths());
                    prop_assert!((1..=9_000_000_000_000_000).contains(&price.ten_thousandths()));
                }
                Err(error) => prop_assert!(error.to_string().len() < 500, "{error}"),
            }
        }
    }

    #[test]
    fn a_price_keeps_the_digits_of_its_source() {
        for text in ["84436700.0", "109568192.72", "84873600", "83439260.1561159577375675"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_price_is_rounded_half_to_even_at_four_decimals() {
        let check = |text: &str, expected: i64| {
            assert_eq!(text.parse::<Price>().unwrap().ten_thousandths(), expected, "{text}");
        };
        check("1", 10_000);
        check("1.00005", 10_000);
        check("1.00015", 10_002);
        check("1.000150000001", 10_002);
        check("900000000000", 9_000_000_000_000_000);
        check("900000000000.00000", 9_000_000_000_000_000);
    }

    #[test]
    fn anything_but_a_positive_plain_decimal_is_an_error() {
        for text in ["", ".", "abc", "NaN", "inf", "1e8", "-1", "+1", "1,5", " 1", "1_000", "1.2.3"]
        {
            let error = text.parse::<Price>().unwrap_err();
            assert!(matches!(error, PriceError::NotDecimal(_)), "{text:?}: {error}");
        }
        for text in ["0", "0.0", "0.00001"] {
            assert!(matches!(text.parse::<Price>(), Err(PriceError::NotPositive(_))), "{text}");
        }
        for text in ["900000000000.1", "900000000000.00001", "99999999999999999999999999"] {
            assert!(matches!(text.parse::<Price>(), Err(PriceError::TooLarge(_))), "{text}");
        }
    }

    #[test]
    fn a_price_is_made_of_a_number_of_ten_thousandths() {
        let price = |number| Price::from_ten_thousandths(number).map(|price| price.to_string());
        assert_eq!(price(844_367_000_001), Some("84436700.0001".to_owned()));
        assert_eq!(price(1), Some("0.0001".to_owned()));
        assert_eq!(price(9_000_000_000_000_000), Some("900000000000".to_owned()));
        assert_eq!([0, -1, 9_000_000_000_000_001].map(price), [None, None, None]);
    }

    #[test]
    fn a_number_of_pesos_is_limited_to_the_allowed_prices() {
        let units = |pesos| Price::from_pesos(pesos).ten_thousandths();
        assert_eq!(units(7), 70_000);
        assert_eq!(units(0), 10_000);
        assert_eq!(units(u64::MAX), 9_000_000_000_000_000);
        assert_eq!(Price::from_pesos(7), "7".parse().unwrap());
    }

    #[test]
    fn a_price_as_a_double_keeps_four_decimals() {
        let price: Price = "84436700.1234".parse().unwrap();
        assert_eq!(price.to_f64().to_string(), "84436700.1234");
    }
}
