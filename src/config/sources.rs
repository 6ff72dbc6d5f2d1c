//! `[sources]`: the exchanges, how they are queried, and which prices are accepted. Depends on `domain` and
//! `json_locator`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    domain::Side,
    json_locator::{Check, JsonLocator, empty_as_none},
};

/// `[sources]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// How the price is determined from several sources.
    pub policy: Policy,
    /// The minimum number of sources for a median.
    pub quorum: usize,
    /// Which price is recorded.
    pub price: Side,
    /// The lowest accepted price, in pesos.
    pub lowest: u64,
    /// The highest accepted price, in pesos.
    pub highest: u64,
    /// The fraction by which a price may differ from the recent ones.
    pub max_jump: f64,
    /// The sources by name.
    #[serde(flatten)]
    pub named: BTreeMap<String, Source>,
}

/// How the price is determined from several sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The first accepted price, in the order of the sources.
    First,
    /// The weighted median of all sources that respond in time.
    Median,
}

/// `[sources.<name>]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Whether requests are sent to it.
    pub enabled: bool,
    /// The URL of the price.
    pub url: Url,
    /// Position among the sources; lower numbers are queried first.
    pub order: u32,
    /// The weight of its price in the median.
    pub weight: u32,
    /// The timeout of one request.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// The headers of each request, as `Name: value`.
    pub headers: Vec<String>,
    /// The location of the price that a buyer pays.
    pub ask: JsonLocator,
    /// The location of the price that a seller receives.
    #[serde(with = "empty_as_none")]
    pub bid: Option<JsonLocator>,
    /// The condition that a response must meet.
    #[serde(with = "empty_as_none")]
    pub check: Option<Check>,
    /// The location of the time of the price.
    #[serde(with = "empty_as_none")]
    pub time: Option<JsonLocator>,
    /// The maximum age of a price.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Sources {
    /// Returns all sources: the enabled ones first, each group in its order.
    pub fn in_order(&self) -> Vec<(&String, &Source)> {
        let mut sources: Vec<_> = self.named.iter().collect();
        sources.sort_by_key(|(name, source)| (!source.enabled, source.order, *name));
        sources
    }

    /// Returns the enabled sources in their order.
    pub fn enabled(&self) -> Vec<(&String, &Source)> {
        self.in_order().into_iter().filter(|(_, source)| source.enabled).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn enabled_sources_come_before_the_others() {
        let mut sources = Config::default().sources;
        sources.named.get_mut("belo").unwrap().enabled = true;
        let names = |sources: Vec<(&String, _)>| {
            sources.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let expected = ["buenbit", "belo", "criptoya", "bitso", "satoshitango"];
        assert_eq!(names(sources.in_order()), expected);
        assert_eq!(names(sources.enabled()), ["buenbit", "belo"]);
    }
}
