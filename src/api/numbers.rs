//! Amounts as JSON numbers. JSON parsers read numbers as doubles, which represent all amounts up to
//! [`Price::MAX`](crate::domain::Price::MAX) without loss of digits.

use rust_decimal::Decimal;

use crate::domain::{Price, Span};

/// Converts an amount in 1/10000 peso to pesos.
pub(super) fn ten_thousandths_to_pesos(ten_thousandths: i64) -> f64 {
    // Integers below 2^53 are exact as doubles, so the quotient is the double nearest to the true value.
    #[allow(clippy::cast_precision_loss, reason = "below 2^53, see Price::MAX")]
    let whole = ten_thousandths as f64;
    whole / 10_000.0
}

/// Returns a price in pesos.
pub(super) fn pesos(price: Price) -> f64 {
    ten_thousandths_to_pesos(price.ten_thousandths())
}

/// Converts a decimal whose mantissa is below 2^53.
pub(super) fn number(amount: Decimal) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53, see Price::MAX")]
    let whole = amount.mantissa() as f64;
    whole / 10_f64.powi(amount.scale().cast_signed())
}

/// Returns `amount` as a percentage of `of`, to 4 decimals; 0 if `of` is 0.
pub(super) fn percent(amount: i64, of: i64) -> f64 {
    let share = Decimal::from(amount).checked_div(Decimal::from(of)).unwrap_or_default();
    number((share * Decimal::ONE_HUNDRED).round_dp(4))
}

/// Rounds to 3 decimals; never returns -0.
pub(super) fn rounded(number: f64) -> f64 {
    // Adding 0.0 turns -0.0 into 0.0.
    (number * 1000.0).round() / 1000.0 + 0.0
}

/// Converts milliseconds to seconds.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Returns a length of time in microseconds.
pub(super) fn micros(span: Span) -> i64 {
    span.seconds().saturating_mul(1_000_000)
}
