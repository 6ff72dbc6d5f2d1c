//! The query parameters: how they are parsed, and their schemas in the OpenAPI document. May use the domain
//! and the job states of the queue.

use std::{fmt, str::FromStr};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult},
};
use serde_json::json;

use super::{described::impl_openapi_type, error::ApiError};
use crate::{
    domain::{Interval, Moment, Order, PageNumber, PageSize, Span, TimeRange, Zone},
    queue::JobState,
};

mod whole;

pub(super) use whole::{Limit, Pixels};

/// Makes a type that implements `FromStr` a parameter with the given name and schema.
macro_rules! parameter {
    ($type:ty, $name:literal, $schema:expr) => {
        impl_openapi_type!($type, $name, $schema);

        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                Self::from_str(value).map_err(ParseError::custom)
            }
        }
    };
}

use parameter;

/// Defines a parameter that is an enum: each value has a word. The first word is the default.
macro_rules! enum_parameter {
    ($(#[$doc:meta])* $type:ident, $name:literal, $what:literal: $($value:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $type {
            $(
                #[doc = concat!("`", $word, "`.")]
                $value,
            )+
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$value),)+
                    _ => Err(UnknownWord {
                        given: text.chars().take(40).collect(),
                        what: $what,
                        known: &[$($word),+],
                    }),
                }
            }
        }

        parameter!($type, $name, of_words(&[$($word),+]));
    };
}

/// The error for a text that is not one of the words of a parameter.
#[derive(Debug)]
pub(super) struct UnknownWord {
    given: String,
    what: &'static str,
    known: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, what, known } = self;
        write!(f, "{given:?} is not {what}: give {}", known.join(" or "))
    }
}

enum_parameter!(
    /// The format of a list.
    Format, "format", "a format": Json = "json", Csv = "csv", Ndjson = "ndjson",
);
enum_parameter!(
    /// The way to fill an interval without samples.
    Fill, "fill", "a way to fill": None = "none", Previous = "previous",
);
enum_parameter!(
    /// The weighting of a mean: by sample or by time.
    Weight, "weight", "a weight": Sample = "sample", Time = "time",
);

enum_parameter!(
    /// The kind of chart.
    ChartKind, "chart kind", "a kind of chart": Line = "line", Candles = "candles",
);
enum_parameter!(
    /// The colours of a chart.
    Theme, "theme", "a theme": Light = "light", Dark = "dark",
);
/// A state of jobs. It has no default: without it, jobs in all states are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobStateName(pub(super) JobState);

impl JobStateName {
    const NAMES: &[&str] = &["waiting", "running", "done", "dead"];
}

impl FromStr for JobStateName {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let state = JobState::ALL.into_iter().find(|state| state.name() == text);
        let given = || text.chars().take(40).collect();
        let unknown = || UnknownWord { given: given(), what: "a state", known: Self::NAMES };
        state.map(Self).ok_or_else(unknown)
    }
}

parameter!(JobStateName, "job state", MetaSchema { default: None, ..of_words(Self::NAMES) });

parameter!(
    Moment,
    "time",
    MetaSchema {
        any_of: vec![
            inline(MetaSchema {
                description: Some("Unix seconds, with or without a fraction"),
                minimum: Some(-62_135_596_800.0),
                maximum: Some(253_402_300_799.0),
                ..MetaSchema::new("number")
            }),
            inline(MetaSchema {
                description: Some("RFC 3339, in the years 1 to 9999"),
                ..MetaSchema::new_with_format("string", "date-time")
            }),
            inline(MetaSchema {
                description: Some("A day: a range includes the whole day"),
                ..MetaSchema::new_with_format("string", "date")
            }),
            inline(MetaSchema {
                description: Some("`now`, or a time before now; the units are s, m, h, d, w"),
                pattern: Some("^(now|-([0-9]{1,9}[sm]|[0-9]{1,6}[hdw]))$".to_owned()),
                ..MetaSchema::new("string")
            }),
        ],
        ..MetaSchema::ANY
    }
);

parameter!(
    Span,
    "duration",
    MetaSchema {
        any_of: vec![
            inline(MetaSchema {
                description: Some("Seconds"),
                minimum: Some(0.0),
                #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
                maximum: Some(Self::MAX as f64),
                ..MetaSchema::new("integer")
            }),
            inline(MetaSchema {
                description: Some("A number with a unit: s, m, h, d, w"),
                pattern: Some("^([0-9]{1,9}[sm]|[0-9]{1,6}[hdw])$".to_owned()),
                ..MetaSchema::new("string")
            }),
        ],
        example: Some(json!("1m")),
        ..MetaSchema::ANY
    }
);

parameter!(
    Interval,
    "interval",
    MetaSchema {
        description: Some("A number with a unit: s, m, h, d, w, M (months); at most 100 years"),
        pattern: Some(
            "^[1-9]([0-9]{0,8}s|[0-9]{0,6}m|[0-9]{0,4}h|[0-9]{0,3}d|[0-9]{0,2}[wM])$".to_owned()
        ),
        example: Some(json!("1h")),
        ..MetaSchema::new("string")
    }
);

parameter!(
    Zone,
    "time zone",
    MetaSchema {
        default: Some(json!("UTC")),
        example: Some(json!("America/Argentina/Buenos_Aires")),
        ..MetaSchema::new("string")
    }
);

parameter!(Order, "order", of_words(&["asc", "desc"]));

parameter!(
    PageNumber,
    "page",
    MetaSchema {
        any_of: vec![
            inline(MetaSchema { minimum: Some(1.0), ..MetaSchema::new("integer") }),
            inline(MetaSchema {
                enum_items: vec![json!("last"), json!("")],
                ..MetaSchema::new("string")
            }),
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

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

/// Returns the schema of a parameter that is one of the given words. The first word is the default.
fn of_words(words: &[&str]) -> MetaSchema {
    MetaSchema {
        enum_items: words.iter().map(|word| json!(word)).collect(),
        default: words.first().map(|word| json!(word)),
        example: words.first().map(|word| json!(word)),
        ..MetaSchema::new("string")
    }
}

/// Returns the range between two parameters at the Unix second `now`. Days are days in UTC.
///
/// # Errors
/// Returns an error if `since` is after `until`.
pub(super) fn range(
    since: Option<Moment>,
    until: Option<Moment>,
    now: i64,
) -> Result<TimeRange, ApiError> {
    range_in(since, until, now, Zone::UTC)
}

/// Like [`range`], with days in the given time zone.
pub(super) fn range_in(
    since: Option<Moment>,
    until: Option<Moment>,
    now: i64,
    zone: Zone,
) -> Result<TimeRange, ApiError> {
    Moment::range(since, until, now, zone)
        .map_err(|error| ApiError::parameter("since", error.to_string()))
}
