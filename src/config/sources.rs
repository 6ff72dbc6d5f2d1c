//! `[sources]`: who is asked for the price, how, and what is believed.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    domain::Side,
    place::{Check, Place, or_none},
};

/// `[sources]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// How one price is made of several sources.
    pub policy: Policy,
    /// The least number of sources whose median is believed.
    pub quorum: usize,
    /// Which price is recorded.
    pub price: Side,
    /// The lowest price that is believed, in pesos.
    pub lowest: u64,
    /// The highest price that is believed, in pesos.
    pub highest: u64,
    /// The share by which a price may differ from the recent ones.
    pub max_jump: f64,
    /// The sources by name.
    #[serde(flatten)]
    pub named: BTreeMap<String, Source>,
}

/// How one price is made of several sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The first one, in order, that gives a price that is believed.
    First,
    /// The weighted median of all that answer in time.
    Median,
}

/// `[sources.<name>]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Whether it is asked.
    pub enabled: bool,
    /// The address that is asked.
    pub url: Url,
    /// Lower ones are asked first.
    pub order: u32,
    /// How much its price counts in the median.
    pub weight: u32,
    /// The longest that one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Headers that are sent, each `Name: value`.
    pub headers: Vec<String>,
    /// Where the price stands that a buyer pays.
    pub ask: Place,
    /// Where the price stands that a seller gets.
    #[serde(with = "or_none")]
    pub bid: Option<Place>,
    /// What the answer must hold.
    #[serde(with = "or_none")]
    pub check: Option<Check>,
    /// Where the time of the price stands.
    #[serde(with = "or_none")]
    pub time: Option<Place>,
    /// The greatest age of a price.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Sources {
    /// All sources: first those that are asked, in their order.
    pub fn in_order(&self) -> Vec<(&String, &Source)> {
        let mut sources: Vec<_> = self.named.iter().collect();
        sources.sort_by_key(|(name, source)| (!source.enabled, source.order, *name));
        sources
    }

    /// The sources that are asked, the first one first.
    pub fn enabled(&self) -> Vec<(&String, &Source)> {
        self.in_order().into_iter().filter(|(_, source)| source.enabled).collect()
    }
}
