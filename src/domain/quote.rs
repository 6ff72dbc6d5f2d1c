//! A quote: what a source asks and bids; where the price of a sample came from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Price, Sample};

/// Which of its prices a quote is recorded at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What a buyer pays.
    Ask,
    /// What a seller gets.
    Bid,
    /// The middle of both.
    Mid,
}

/// What a source asks for a bitcoin, and bids for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// What a buyer pays.
    pub ask: Price,
    /// What a seller gets, where the source tells it. Never above the ask.
    pub bid: Option<Price>,
}

/// Where the price of a sample came from.
///
/// Its text, `<sources>:<ask>:<bid>`, is what is stored: `buenbit:84436700.0:82781100.0`. The
/// sources of a median are joined by `+`; what is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The name of the source, or several joined by `+`.
    pub source: String,
    /// What a buyer paid then.
    pub ask: Option<Price>,
    /// What a seller got then.
    pub bid: Option<Price>,
}

/// A sample, and where its price came from, if anybody noted that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The price and its second.
    pub sample: Sample,
    /// Where it came from.
    pub provenance: Option<Provenance>,
}

/// Whether a source may have that name: up to 32 of a-z, 0-9, - and _, with a letter among them, so
/// that no number is one.
pub fn is_source_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let has_letter = name.contains(|c: char| c.is_ascii_lowercase());
    (1..=32).contains(&name.len()) && has_letter && name.chars().all(plain)
}

impl Quote {
    /// The price of that side; `None` if the source does not tell it.
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

/// A text that tells no provenance.
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
    fn a_provenance_reads_back() {
        for text in ["buenbit:84436700.0:82781100.0", "a+b:1:", "import::"] {
            assert_eq!(text.parse::<Provenance>().unwrap().to_string(), text);
        }
        assert_eq!("".parse::<Provenance>(), Err(NoProvenance));
        assert_eq!(":1:2".parse::<Provenance>(), Err(NoProvenance));
    }
}
