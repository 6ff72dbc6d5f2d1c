//! What is answered as CoinGecko does.

use std::collections::BTreeMap;

use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    registry::MetaSchema,
    types::{ToJSON, Type},
};
use serde_json::{Value, json};

use crate::{api::described::described, history::Known};

const DAY: i64 = 24 * 3600;

/// Whether the API answers.
#[derive(Debug, Object)]
pub(super) struct PingResponse {
    /// A greeting.
    pub(super) gecko_says: String,
}

/// The figures of each coin.
pub(super) type Prices = BTreeMap<String, BTreeMap<String, Figure>>;

/// Prices over time, each as `[milliseconds, pesos]`.
#[derive(Debug, Object)]
pub(super) struct ChartResponse {
    /// The prices.
    prices: Vec<Row>,
    /// At the same times null: capitalisations are not known.
    market_caps: Vec<Row>,
    /// At the same times null: volumes are not known.
    total_volumes: Vec<Row>,
}

/// What was wrong with a request.
#[derive(Debug, Object)]
pub(super) struct GeckoProblem {
    /// In the words of CoinGecko.
    error: String,
}

/// An answer as CoinGecko gives it.
#[derive(ApiResponse)]
pub(super) enum GeckoAnswer<T: Type + ToJSON> {
    /// The answer.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Set while the store is away: the answer may have changed since this unix second.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// The coin is not known.
    #[oai(status = 404, content_type = "application/json")]
    Unknown(Json<GeckoProblem>),
    /// A parameter is missing or wrong.
    #[oai(status = 422, content_type = "application/json")]
    Invalid(Json<GeckoProblem>),
}

/// Why a request is not answered.
pub(super) enum Refusal {
    /// It is about something that is not known.
    Unknown(String),
    /// A parameter is missing or wrong.
    Invalid(String),
}

impl Refusal {
    pub(super) fn unknown(error: &str) -> Self {
        Self::Unknown(error.to_owned())
    }

    pub(super) fn invalid(error: impl Into<String>) -> Self {
        Self::Invalid(error.into())
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::Invalid(format!("Missing parameter {name}"))
    }
}

impl<T: Type + ToJSON> From<Known<T>> for GeckoAnswer<T> {
    fn from(known: Known<T>) -> Self {
        Self::Value(Json(known.value), known.until)
    }
}

impl<T: Type + ToJSON> From<Refusal> for GeckoAnswer<T> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(error) => Self::Unknown(Json(GeckoProblem { error })),
            Refusal::Invalid(error) => Self::Invalid(Json(GeckoProblem { error })),
        }
    }
}

/// How many days back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    Number(i64),
    Max,
}

impl Days {
    /// More than two thousand years.
    const MOST: i64 = 999_999;

    pub(super) fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        match text {
            None => Err(Refusal::missing("days")),
            Some("max") => Ok(Self::Max),
            Some(text) => {
                let days = text.parse().ok().filter(|days| (1..=Self::MOST).contains(days));
                days.map(Self::Number).ok_or_else(|| Refusal::invalid("Invalid days"))
            }
        }
    }

    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Number(days) => days.saturating_mul(DAY),
            Self::Max => i64::MAX,
        }
    }
}

impl ChartResponse {
    pub(super) fn new(prices: &[(i64, f64)]) -> Self {
        let unknown = || prices.iter().map(|(at, _)| Row(vec![json!(at), Value::Null])).collect();
        Self {
            prices: prices.iter().map(|(at, price)| Row::new(*at, &[*price])).collect(),
            market_caps: unknown(),
            total_volumes: unknown(),
        }
    }
}

/// Milliseconds since the Unix epoch, then figures.
#[derive(Debug)]
pub(super) struct Row(Vec<Value>);

impl Row {
    pub(super) fn new(milliseconds: i64, figures: &[f64]) -> Self {
        let figures = figures.iter().map(|figure| json!(figure));
        Self([json!(milliseconds)].into_iter().chain(figures).collect())
    }
}

/// A number, or null if it is not known.
#[derive(Debug)]
pub(super) struct Figure(Value);

impl Figure {
    pub(super) fn of(figure: f64) -> Self {
        Self(json!(figure))
    }

    pub(super) fn whole(figure: i64) -> Self {
        Self(json!(figure))
    }

    pub(super) fn unknown() -> Self {
        Self(Value::Null)
    }
}

/// Makes a type whose values are JSON a part of answers.
macro_rules! as_json {
    ($type:ty, $name:literal, $value:expr, $schema:expr) => {
        described!($type, $name, $schema);

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some($value(self))
            }
        }

        // Answers are only written; an object's parts must be readable, too.
        impl poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(_: Option<Value>) -> poem_openapi::types::ParseResult<Self> {
                Err(poem_openapi::types::ParseError::custom("is only written"))
            }
        }
    };
}

as_json!(
    Figure,
    "figure",
    |figure: &Figure| figure.0.clone(),
    MetaSchema { nullable: true, ..MetaSchema::new("number") }
);
as_json!(
    Row,
    "row",
    |row: &Row| Value::Array(row.0.clone()),
    MetaSchema {
        items: Some(Box::new(Figure::schema_ref())),
        min_items: Some(2),
        max_items: Some(5),
        ..MetaSchema::new("array")
    }
);
