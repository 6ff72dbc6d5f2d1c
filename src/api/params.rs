//! How query parameters are read and documented.

use std::{borrow::Cow, str::FromStr};

use poem::Request;
use poem_openapi::{
    error::ParseParamError,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use serde_json::json;
use url::form_urlencoded;

use super::error::ApiError;
use crate::domain::{PageNumber, PageSize, TimeRange, UnixTime};

/// All parameters of all operations.
const NAMES: [&str; 5] = ["since", "until", "timestamp", "page", "page_size"];

/// Makes a domain value that reads itself from text a documented query parameter.
macro_rules! parameter {
    ($type:ty, $name:literal, $schema:expr) => {
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                Self::from_str(value).map_err(ParseError::custom)
            }
        }
    };
}

parameter!(
    UnixTime,
    "time",
    MetaSchema {
        any_of: vec![
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                description: Some("Unix seconds, with or without a fraction"),
                minimum: Some(-62_135_596_800.0),
                maximum: Some(253_402_300_799.0),
                ..MetaSchema::new("number")
            })),
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                description: Some("RFC 3339, the years 1 to 9999"),
                ..MetaSchema::new_with_format("string", "date-time")
            })),
        ],
        example: Some(json!(1_717_184_864)),
        ..MetaSchema::ANY
    }
);

parameter!(
    PageNumber,
    "page",
    MetaSchema {
        any_of: vec![
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                minimum: Some(1.0),
                ..MetaSchema::new("integer")
            })),
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                enum_items: vec![json!("last")],
                ..MetaSchema::new("string")
            })),
        ],
        default: Some(json!(1)),
        example: Some(json!(1)),
        ..MetaSchema::ANY
    }
);

parameter!(
    PageSize,
    "page size",
    MetaSchema {
        minimum: Some(1.0),
        #[allow(clippy::cast_precision_loss, reason = "a thousand")]
        maximum: Some(PageSize::MAX as f64),
        default: Some(json!(PageSize::default().get())),
        example: Some(json!(100)),
        ..MetaSchema::new("integer")
    }
);

/// The range between two parameters.
pub(super) fn range(
    since: Option<UnixTime>,
    until: Option<UnixTime>,
) -> Result<TimeRange, ApiError> {
    TimeRange::new(since, until).map_err(|error| ApiError::parameter("since", error.to_string()))
}

/// Refuses a request that gives a parameter twice: neither value is surely the one that is meant.
pub(super) fn given_once(request: &Request) -> poem::Result<()> {
    let query = request.uri().query().unwrap_or_default();
    // One pair alone is nothing twice.
    if !query.contains('&') {
        return Ok(());
    }
    let mut given = [false; NAMES.len()];
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        let known = NAMES.into_iter().zip(&mut given).find(|(known, _)| *known == name);
        if let Some((name, given)) = known
            && std::mem::replace(given, true)
        {
            let reason = "given more than once".to_owned();
            return Err(ParseParamError { name, reason }.into());
        }
    }
    Ok(())
}
