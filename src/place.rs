//! Where in a JSON document a value stands, as configurations name it, and what it must be.
//!
//! Depends on nothing of the crate.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A place in a JSON document: a JSON Pointer (RFC 6901), such as `/data/ask`, or a `JSONPath`
/// (RFC 9535), such as `$[?@.pairCode=='BTC/ARS'].ask`.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    text: String,
    path: Path,
}

#[derive(Debug, Clone, PartialEq)]
enum Path {
    Pointer,
    Query(JsonPath),
}

/// What a document must hold: `<place> == <JSON value>`, such as `/success == true`.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    place: Place,
    expected: Value,
}

/// A text that is no place or no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct PlaceError {
    text: String,
    reason: String,
}

impl Place {
    /// The one value that stands there; `None` if there is none, or more than one.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        match &self.path {
            Path::Pointer => document.pointer(&self.text),
            Path::Query(path) => path.query(document).exactly_one().ok(),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = |reason: String| PlaceError { text: text.to_owned(), reason };
        let path = if text.starts_with('$') {
            let path = JsonPath::parse(text);
            Path::Query(path.map_err(|error| wrong(format!("is no JSONPath: {error}")))?)
        } else if text.starts_with('/') {
            Path::Pointer
        } else {
            let reason = "is no place in a JSON document: give a JSON Pointer such as /data/ask, \
                          or a JSONPath such as $.data.ask";
            return Err(wrong(reason.to_owned()));
        };
        Ok(Self { text: text.to_owned(), path })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Check {
    /// Whether the document holds what it must; the error says what it holds instead.
    ///
    /// # Errors
    /// If it holds something else, or nothing.
    pub fn verify(&self, document: &Value) -> Result<(), String> {
        match self.place.find(document) {
            Some(found) if *found == self.expected => Ok(()),
            Some(found) => Err(format!("{} is {found}, not {}", self.place, self.expected)),
            None => Err(format!("nothing at {}, where {} should be", self.place, self.expected)),
        }
    }
}

impl FromStr for Check {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = |reason: &str| PlaceError { text: text.to_owned(), reason: reason.to_owned() };
        let form = "is no check: give <place> == <JSON value>, such as /success == true";
        // From the right: a JSONPath may have an == of its own.
        let (place, expected) = text.rsplit_once("==").ok_or_else(|| wrong(form))?;
        let expected = serde_json::from_str(expected.trim()).map_err(|_| wrong(form))?;
        Ok(Self { place: place.trim().parse()?, expected })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} == {}", self.place, self.expected)
    }
}

/// For a text that may be empty, which is none. For `#[serde(with = "...")]`.
pub mod or_none {
    use super::{Deserialize, Deserializer, Error, FromStr, Serializer, fmt};

    /// Writes the text, or an empty one.
    ///
    /// # Errors
    /// Those of the serializer.
    #[allow(clippy::ref_option, reason = "serde hands over references")]
    pub fn serialize<S: Serializer, T: fmt::Display>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    /// Reads the text.
    ///
    /// # Errors
    /// If it cannot be read as a `T`.
    pub fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A JSON document of a few levels.
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
        fn any_place_finds_one_value_of_any_document_or_none(
            text in "(/[a-c0-3~/]{0,8}|\\$[\\[\\].*?@a-c0-9'=<>&|()!,: -]{0,20}|.{0,30})",
            document in document(),
        ) {
            if let Ok(place) = text.parse::<Place>() {
                let _found = place.find(&document);
                prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
            }
            if let Ok(check) = format!("{text} == true").parse::<Check>() {
                let _verdict = check.verify(&document);
            }
        }
    }

    #[test]
    fn a_pointer_and_a_path_find_one_value() {
        let document = json!([{"pairCode": "A", "ask": "1"}, {"pairCode": "BTC/ARS", "ask": "2"}]);
        let find = |text: &str| text.parse::<Place>().unwrap().find(&document).cloned();
        assert_eq!(find("/1/ask"), Some(json!("2")));
        assert_eq!(find("$[?@.pairCode=='BTC/ARS'].ask"), Some(json!("2")));
        assert_eq!(find("/2/ask"), None);
        assert_eq!(find("$[*].ask"), None, "two values are not one");
    }

    #[test]
    fn a_check_tells_what_it_saw() {
        let check = |text: &str, document: Value| text.parse::<Check>().unwrap().verify(&document);
        assert_eq!(check("/success == true", json!({"success": true})), Ok(()));
        assert_eq!(check("$[?@.a == 1].b==[]", json!([{"a": 1, "b": []}])), Ok(()));
        let error = check("/errors == []", json!({"errors": ["closed"]})).unwrap_err();
        assert_eq!(error, "/errors is [\"closed\"], not []");
        assert!(check("/success == true", json!({})).unwrap_err().contains("nothing at /success"));
    }

    #[test]
    fn what_is_neither_says_what_would_be_right() {
        for text in ["", "ask", "$[", "data.ask"] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains("JSONPath"), "{error}");
        }
        for text in ["/a", "/a == ", "/a == yes", "a == 1"] {
            assert!(text.parse::<Check>().is_err(), "{text}");
        }
    }
}
