//! Parameters that are whole numbers within bounds.

use std::str::FromStr;

use poem_openapi::{
    registry::MetaSchema,
    types::{ParseError, ParseFromParameter, ParseResult},
};
use serde_json::json;

use super::parameter;
use crate::api::described::impl_openapi_type;

/// A text that is not a whole number within the bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a {what}: give a whole number from {min} to {max}")]
pub(in crate::api) struct WholeNumberError {
    /// The beginning of the text.
    given: String,
    what: &'static str,
    min: usize,
    max: usize,
}

/// Reads a whole number of plain digits within the bounds.
fn read(
    text: &str,
    what: &'static str,
    (min, max): (usize, usize),
) -> Result<usize, WholeNumberError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_plain && (min..=max).contains(number));
    number.ok_or_else(|| {
        let given = text.chars().take(40).collect();
        WholeNumberError { given, what, min, max }
    })
}

/// The maximum number of candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Limit(pub(in crate::api) usize);

impl Limit {
    const MAX: usize = 5000;
}

impl Default for Limit {
    fn default() -> Self {
        Self(500)
    }
}

impl FromStr for Limit {
    type Err = WholeNumberError;

    fn from_str(text: &str) -> Result<Self, WholeNumberError> {
        read(text, "limit", (1, Self::MAX)).map(Self)
    }
}

parameter!(
    Limit,
    "limit",
    MetaSchema {
        minimum: Some(1.0),
        #[allow(clippy::cast_precision_loss, reason = "five thousand")]
        maximum: Some(Self::MAX as f64),
        default: Some(json!(Self::default().0)),
        example: Some(json!(24)),
        ..MetaSchema::new("integer")
    }
);

/// The width or height of an image in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Pixels(pub(in crate::api) u32);

impl Pixels {
    const MIN: u32 = 100;
    const MAX: u32 = 4000;
}

impl FromStr for Pixels {
    type Err = WholeNumberError;

    fn from_str(text: &str) -> Result<Self, WholeNumberError> {
        let bounds = (Self::MIN as usize, Self::MAX as usize);
        let pixels = read(text, "number of pixels", bounds)?;
        Ok(Self(u32::try_from(pixels).unwrap_or(Self::MAX)))
    }
}

parameter!(
    Pixels,
    "pixels",
    MetaSchema {
        minimum: Some(f64::from(Self::MIN)),
        maximum: Some(f64::from(Self::MAX)),
        example: Some(json!(800)),
        ..MetaSchema::new("integer")
    }
);
