//! Locators of values in JSON documents, and conditions on these values, as used in the configuration.
//!
//! Depends on no other module.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A locator of a value in a JSON document: a JSON Pointer (RFC 6901), such as `/data/ask`, or a `JSONPath`
/// (RFC 9535), such as `$[?@.pairCode=='BTC/ARS'].ask`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLocator {
    text: String,
    path: Path,
}

#[derive(Debug, Clone, PartialEq)]
enum Path {
    Pointer,
    Query(JsonPath),
}

/// A condition on a JSON document: `<locator> == <JSON value>`, such as `/success == true`.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    locator: JsonLocator,
    expected: Value,
}

/// The error of a text that is not a valid locator or check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocatorError {
    /// The text starts with `$`, but is not a valid `JSONPath`.
    #[error("{text:?} is not a valid JSONPath: {error}")]
    JsonPath {
        /// The invalid text.
        text: String,
        /// The error of the parser.
        #[source]
        error: serde_json_path::ParseError,
    },
    /// The text starts neither with `/` nor with `$`.
    #[error(
        "{0:?} is not a locator in a JSON document: use a JSON Pointer such as /data/ask, or a \
         JSONPath such as $.data.ask"
    )]
    Locator(String),
    /// The text contains no `==` followed by a JSON value.
    #[error("{0:?} is not a check: use <locator> == <JSON value>, such as /success == true")]
    Check(String),
}

/// The error of a document that does not satisfy a [`Check`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The document contains another value.
    #[error("{locator} is {found}, expected {expected}")]
    Different {
        /// The locator of the value.
        locator: String,
        /// The first characters of the value found.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// The locator finds no value, or several.
    #[error("nothing at {locator}, expected {expected}")]
    Missing {
        /// The locator of the value.
        locator: String,
        /// The expected value.
        expected: String,
    },
}

/// The maximum number of characters of a value that an error quotes.
const QUOTED: usize = 60;

impl JsonLocator {
    /// Returns the value at this locator; `None` if there is none, or more than one.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        match &self.path {
            Path::Pointer => document.pointer(&self.text),
            Path::Query(path) => path.query(document).exactly_one().ok(),
        }
    }
}

impl FromStr for JsonLocator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        let path = if text.starts_with('$') {
            Path::Query(JsonPath::parse(text).map_err(|error| {
                let text = text.to_owned();
                LocatorError::JsonPath { text, error }
            })?)
        } else if text.starts_with('/') {
            Path::Pointer
        } else {
            return Err(LocatorError::Locator(text.to_owned()));
        };
        Ok(Self { text: text.to_owned(), path })
    }
}

impl fmt::Display for JsonLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Check {
    /// Checks a document.
    ///
    /// # Errors
    /// Returns an error if the document does not contain exactly the expected value.
    pub fn verify(&self, document: &Value) -> Result<(), CheckError> {
        let (locator, expected) = (self.locator.to_string(), self.expected.to_string());
        match self.locator.find(document) {
            Some(found) if *found == self.expected => Ok(()),
            Some(found) => {
                let found = found.to_string().chars().take(QUOTED).collect();
                Err(CheckError::Different { locator, found, expected })
            }
            None => Err(CheckError::Missing { locator, expected }),
        }
    }
}

impl FromStr for Check {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        let invalid = || LocatorError::Check(text.to_owned());
        // Split at the last ==, because a JSONPath may contain others.
        let (locator, expected) = text.rsplit_once("==").ok_or_else(invalid)?;
        let expected = serde_json::from_str(expected.trim()).map_err(|_| invalid())?;
        Ok(Self { locator: locator.trim().parse()?, expected })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} == {}", self.locator, self.expected)
    }
}

/// Serializes and deserializes `None` as an empty text, for `#[serde(with = "...")]`.
pub mod empty_as_none {
    use super::{Deserialize, Deserializer, Error, FromStr, Serializer, fmt};

    /// Writes the text of the value, or an empty text.
    ///
    /// # Errors
    /// Returns an error if the serializer fails.
    #[allow(clippy::ref_option, reason = "serde passes references")]
    pub fn serialize<S: Serializer, T: fmt::Display>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    /// Reads a value from its text; an empty text is `None`.
    ///
    /// # Errors
    /// Returns an error if the text cannot be parsed as a `T`.
    pub fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

impl Serialize for JsonLocator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonLocator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Generates a JSON document with several levels.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            "[a-z/~\\x00-\\x1f]{0,5}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-c/~0-1]{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_locator_finds_at_most_one_value_in_any_document(
            text in "(/[a-c0-3~/]{0,8}|\\$[\\[\\].*?@a-c0-9'=<>&|()!,: -]{0,20}|.{0,30})",
            document in document(),
        ) {
            if let Ok(locator) = text.parse::<JsonLocator>() {
                let _found = locator.find(&document);
                prop_assert_eq!(locator.to_string().parse::<JsonLocator>().ok(), Some(locator));
            }
            if let Ok(check) = format!("{text} == true").parse::<Check>() {
                let _verdict = check.verify(&document);
            }
        }
    }

    #[test]
    fn a_pointer_and_a_jsonpath_find_one_value() {
        let document = json!([{"pairCode": "A", "ask": "1"}, {"pairCode": "BTC/ARS", "ask": "2"}]);
        let find = |text: &str| text.parse::<JsonLocator>().unwrap().find(&document).cloned();
        assert_eq!(find("/1/ask"), Some(json!("2")));
        assert_eq!(find("$[?@.pairCode=='BTC/ARS'].ask"), Some(json!("2")));
        assert_eq!(find("/2/ask"), None);
        assert_eq!(find("$[*].ask"), None, "two values are not one");
    }

    #[test]
    fn a_failed_check_reports_the_value_that_was_found() {
        let check = |text: &str, document: Value| text.parse::<Check>().unwrap().verify(&document);
        assert_eq!(check("/success == true", json!({"success": true})), Ok(()));
        assert_eq!(check("$[?@.a == 1].b==[]", json!([{"a": 1, "b": []}])), Ok(()));
        let error = check("/errors == []", json!({"errors": ["closed"]})).unwrap_err().to_string();
        assert_eq!(error, "/errors is [\"closed\"], expected []");
        let error = check("/success == true", json!({})).unwrap_err().to_string();
        assert!(error.contains("nothing at /success"), "{error}");
    }

    #[test]
    fn a_check_is_written_as_it_is_read() {
        for text in ["/success == true", "$[?@.a == 1].b == []"] {
            assert_eq!(text.parse::<Check>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_error_of_an_invalid_text_has_an_example() {
        for text in ["", "ask", "$[", "data.ask"] {
            let error = text.parse::<JsonLocator>().unwrap_err().to_string();
            assert!(error.contains("JSONPath"), "{error}");
        }
        for text in ["/a", "/a == ", "/a == yes", "a == 1"] {
            assert!(text.parse::<Check>().is_err(), "{text}");
        }
    }
}
