//! Amounts as JSON numbers. Readers of JSON take numbers for doubles; up to
//! [`Price::MAX`](crate::domain::Price::MAX) no digit is lost in one.

use rust_decimal::Decimal;

use crate::domain::{Price, Span};

/// So many 1/10000 pesos, in pesos.
pub(super) fn units(ten_thousandths: i64) -> f64 {
    // Two whole numbers below 2^53 are exact as doubles, and their quotient is the nearest one.
    #[allow(clippy::cast_precision_loss, reason = "below 2^53, see Price::MAX")]
    let whole = ten_thousandths as f64;
    whole / 10_000.0
}

/// A price in pesos.
pub(super) fn pesos(price: Price) -> f64 {
    units(price.ten_thousandths())
}

/// An amount of few digits.
pub(super) fn number(amount: Decimal) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53, see Price::MAX")]
    let whole = amount.mantissa() as f64;
    whole / 10_f64.powi(amount.scale().cast_signed())
}

/// One amount as a percentage of another one, to 4 decimals.
pub(super) fn percent(amount: i64, of: i64) -> f64 {
    let share = Decimal::from(amount).checked_div(Decimal::from(of)).unwrap_or_default();
    number((share * Decimal::ONE_HUNDRED).round_dp(4))
}

/// A number to 3 decimals, never -0.
pub(super) fn rounded(number: f64) -> f64 {
    // Adding zero makes -0.0 to 0.0.
    (number * 1000.0).round() / 1000.0 + 0.0
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// A length of time in microseconds.
pub(super) fn micros(span: Span) -> i64 {
    span.seconds().saturating_mul(1_000_000)
}
