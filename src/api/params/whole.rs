//! Parameters that are whole numbers within bounds.

use std::str::FromStr;

use poem_openapi::{
    registry::MetaSchema,
    types::{ParseError, ParseFromParameter, ParseResult},
};
use serde_json::json;

use super::parameter;
use crate::api::described::impl_openapi_type;

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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=Self::MAX).contains(limit));
        limit.map(Self).ok_or_else(|| {
            let given: String = text.chars().take(40).collect();
            format!("{given:?} is not a limit: give a whole number from 1 to {}", Self::MAX)
        })
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
    const LEAST: u32 = 100;
    const MOST: u32 = 4000;
}

impl FromStr for Pixels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = Self::LEAST..=Self::MOST;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let pixels = text.parse().ok().filter(|pixels| plain && range.contains(pixels));
        pixels.map(Self).ok_or_else(|| {
            let given: String = text.chars().take(40).collect();
            let (least, most) = (Self::LEAST, Self::MOST);
            format!(
                "{given:?} is not a number of pixels: give a whole number from {least} to {most}"
            )
        })
    }
}

parameter!(
    Pixels,
    "pixels",
    MetaSchema {
        minimum: Some(f64::from(Self::LEAST)),
        maximum: Some(f64::from(Self::MOST)),
        example: Some(json!(800)),
        ..MetaSchema::new("integer")
    }
);
