//! The settings of `cotiza up --simulate`: the simulated exchange is the only source. It has its own name, so
//! that its prices can be distinguished from real ones. Depends on the rest of the configuration.

use super::{Config, layers::variable};

/// The name of the source of simulated prices.
pub const SIMULATED: &str = "simulated";

/// The keys of the source. The responses of the simulated exchange have the format of those of Buenbit.
const KEYS: [(&str, &str); 4] = [
    ("enabled", "true"),
    ("ask", "/object/btcars/selling_price"),
    ("bid", "/object/btcars/purchase_price"),
    ("check", "/errors == []"),
];

/// Returns the environment variables that make the simulated exchange the only source of a process.
pub fn simulation(config: &Config) -> Vec<(String, String)> {
    let others = config.sources.named.keys().filter(|name| *name != SIMULATED);
    let mut settings: Vec<(String, String)> =
        others.map(|name| (format!("sources.{name}.enabled"), "false".to_owned())).collect();
    let url = format!("http://{}/api/market/tickers", config.exchange.listen);
    settings.push((format!("sources.{SIMULATED}.url"), url));
    let keys = KEYS.map(|(key, value)| (format!("sources.{SIMULATED}.{key}"), value.to_owned()));
    settings.extend(keys);
    settings.push(("sources.policy".to_owned(), "first".to_owned()));
    settings.into_iter().map(|(key, value)| (variable(&key), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Policy;

    #[test]
    fn the_simulated_exchange_is_the_only_source() {
        let variables = simulation(&Config::default());
        let environment = variables.iter().cloned().collect();
        let config = Config::from_layers(None, &environment, &Vec::new()).unwrap();
        let [(name, source)] = config.sources.enabled()[..] else { panic!("{environment:?}") };
        assert_eq!(name, SIMULATED);
        let url = format!("http://{}/api/market/tickers", config.exchange.listen);
        assert_eq!(source.url.as_str(), url);
        assert_eq!(source.bid.as_ref().unwrap().to_string(), "/object/btcars/purchase_price");
        assert_eq!(config.sources.policy, Policy::First);
        assert_eq!(simulation(&config), variables, "the source itself is not disabled");
    }
}
