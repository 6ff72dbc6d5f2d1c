//! The parameters and responses of the CoinGecko endpoints, in the format of CoinGecko. May use the history.

use std::collections::BTreeMap;

use poem_openapi::{
    ApiResponse, Object,
    payload::Json,
    registry::MetaSchema,
    types::{ToJSON, Type},
};
use serde_json::{Value, json};

use crate::{api::described::impl_openapi_type, history::Answered};

const DAY: i64 = 24 * 3600;

/// The response to a ping.
#[derive(Debug, Object)]
pub(super) struct PingResponse {
    /// CoinGecko's greeting.
    pub(super) gecko_says: String,
}

/// The figures of each coin: by the id of the coin, then by the name of the figure.
pub(super) type Prices = BTreeMap<String, BTreeMap<String, Figure>>;

/// Prices over time. Each row is a time in milliseconds since the Unix epoch and a figure.
#[derive(Debug, Object)]
pub(super) struct ChartResponse {
    /// The prices in pesos, oldest first.
    prices: Vec<Row>,
    /// Null at the same times: market capitalisations are unknown.
    market_caps: Vec<Row>,
    /// Null at the same times: volumes are unknown.
    total_volumes: Vec<Row>,
}

/// The reason why a request was rejected.
#[derive(Debug, Object)]
pub(super) struct GeckoProblem {
    /// The reason, in the wording of CoinGecko.
    error: String,
}

/// A response in the format of CoinGecko.
#[derive(ApiResponse)]
pub(super) enum GeckoAnswer<T: Type + ToJSON> {
    /// The requested data.
    #[oai(status = 200, content_type = "application/json")]
    Value(
        Json<T>,
        /// Present only if the store is unreachable and the response may be outdated: Unix time in
        /// seconds (UTC) of the last contact with the store.
        #[oai(header = "Cotiza-Known-Until")]
        Option<i64>,
    ),
    /// The coin is unknown.
    #[oai(status = 404, content_type = "application/json")]
    Unknown(Json<GeckoProblem>),
    /// A parameter is missing or invalid.
    #[oai(status = 422, content_type = "application/json")]
    Invalid(Json<GeckoProblem>),
}

/// The reason why a request is rejected.
pub(super) enum Rejection {
    /// The coin is unknown.
    Unknown(String),
    /// A parameter is missing or invalid.
    Invalid(String),
}

impl Rejection {
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

impl<T: Type + ToJSON> From<Answered<T>> for GeckoAnswer<T> {
    fn from(known: Answered<T>) -> Self {
        Self::Value(Json(known.value), known.until)
    }
}

impl<T: Type + ToJSON> From<Rejection> for GeckoAnswer<T> {
    fn from(refusal: Rejection) -> Self {
        match refusal {
            Rejection::Unknown(error) => Self::Unknown(Json(GeckoProblem { error })),
            Rejection::Invalid(error) => Self::Invalid(Json(GeckoProblem { error })),
        }
    }
}

/// The number of days before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    Number(i64),
    Max,
}

impl Days {
    /// The maximum number of days, more than two thousand years.
    const MOST: i64 = 999_999;

    pub(super) fn parse(text: Option<&str>) -> Result<Self, Rejection> {
        match text {
            None => Err(Rejection::missing("days")),
            Some("max") => Ok(Self::Max),
            Some(text) => {
                let days = text.parse().ok().filter(|days| (1..=Self::MOST).contains(days));
                days.map(Self::Number).ok_or_else(|| Rejection::invalid("Invalid days"))
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

/// A time in milliseconds since the Unix epoch, followed by figures; a figure is null if it is unknown.
#[derive(Debug)]
pub(super) struct Row(Vec<Value>);

impl Row {
    pub(super) fn new(milliseconds: i64, figures: &[f64]) -> Self {
        let figures = figures.iter().map(|figure| json!(figure));
        Self([json!(milliseconds)].into_iter().chain(figures).collect())
    }
}

/// A number, or null if it is unknown.
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

/// Makes a type that holds a JSON value usable in responses.
macro_rules! as_json {
    ($type:ty, $name:literal, $value:expr, $schema:expr) => {
        impl_openapi_type!($type, $name, $schema);

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some($value(self))
            }
        }

        // `Object` requires its fields to be parseable, although responses are only serialized.
        impl poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(_: Option<Value>) -> poem_openapi::types::ParseResult<Self> {
                Err(poem_openapi::types::ParseError::custom("this type is only used in responses"))
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
