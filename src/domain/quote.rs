//! Quotes, the ask and the bid of a source, and the provenance of samples.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Price, Sample};

/// The price of a quote that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The ask: the price that a buyer pays.
    Ask,
    /// The bid: the price that a seller gets.
    Bid,
    /// The midpoint of ask and bid.
    Mid,
}

/// The ask and the bid of a source for one bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The price that a buyer pays.
    pub ask: Price,
    /// The price that a seller gets, if the source reports it. Never above the ask.
    pub bid: Option<Price>,
}

/// The provenance of a sample: where its price came from.
///
/// It is stored as the text `<sources>:<ask>:<bid>`, such as `buenbit:84436700.0:82781100.0`. The sources of
/// a median are joined by `+`; unknown values are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The name of the source, or several names joined by `+`.
    pub source: String,
    /// The ask at that time.
    pub ask: Option<Price>,
    /// The bid at that time.
    pub bid: Option<Price>,
}

/// A sample and its provenance, if that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The price and its time.
    pub sample: Sample,
    /// Where the price came from.
    pub provenance: Option<Provenance>,
}

/// Returns whether a source may have a name: 1 to 32 characters of a-z, 0-9, - and _, at least one of them a
/// letter, so that a number is not a name.
pub fn is_source_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let has_letter = name.contains(|c: char| c.is_ascii_lowercase());
    (1..=32).contains(&name.len()) && has_letter && name.chars().all(is_plain)
}

impl Quote {
    /// Returns the price of a side; `None` if the source does not report it.
    pub fn price(&self, side: Side) -> Option<Price> {
        match side {
            Side::Ask => Some(self.ask),
            Side::Bid => self.bid,
            Side::Mid => self.bid.map(|bid| Price::midpoint(self.ask, bid)),
        }
    }
}

impl From<Sample> for Observation {
    fn from(sample: Sample) -> Self {
        Self { sample, provenance: None }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |price: Option<Price>| price.map(|price| price.to_string()).unwrap_or_default();
        write!(f, "{}:{}:{}", self.source, text(self.ask), text(self.bid))
    }
}

/// The error for a text that is not a provenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoProvenance;

impl FromStr for Provenance {
    type Err = NoProvenance;

    fn from_str(text: &str) -> Result<Self, NoProvenance> {
        let mut parts = text.splitn(3, ':');
        let source = parts.next().filter(|source| !source.is_empty()).ok_or(NoProvenance)?;
        let mut price = || parts.next().and_then(|text| text.parse().ok());
        Ok(Self { source: source.to_owned(), ask: price(), bid: price() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn the_mid_is_exact_to_four_decimals() {
        let quote = Quote { ask: price("84436700.0001"), bid: Some(price("82781100.0")) };
        assert_eq!(quote.price(Side::Mid).unwrap().to_string(), "83608900");
        let quote = Quote { ask: price("5.0003"), bid: Some(price("5.0")) };
        assert_eq!(quote.price(Side::Mid).unwrap().to_string(), "5.0002");
        let quote = Quote { ask: price("5"), bid: None };
        assert_eq!((quote.price(Side::Bid), quote.price(Side::Mid)), (None, None));
    }

    #[test]
    fn a_provenance_round_trips() {
        for text in ["buenbit:84436700.0:82781100.0", "a+b:1:", "import::"] {
            assert_eq!(text.parse::<Provenance>().unwrap().to_string(), text);
        }
        assert_eq!("".parse::<Provenance>(), Err(NoProvenance));
        assert_eq!(":1:2".parse::<Provenance>(), Err(NoProvenance));
    }

    #[test]
    fn a_source_name_has_a_letter_and_only_plain_characters() {
        for name in ["a", "buenbit", "b2-c_3", "2-a", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert!(is_source_name(name), "{name}");
        }
        for name in ["", "7", "-_", "A", "a b", "a+b", "ñ1", "abcdefghijklmnopqrstuvwxyz0123456"] {
            assert!(!is_source_name(name), "{name}");
        }
    }
}
