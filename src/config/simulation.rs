//! What `cotiza up --simulate` sets: the simulated exchange as the only source, under a name of its own, so
//! that its prices can be told from real ones.

use super::{Config, layers::variable};

/// The name of the source.
pub const SIMULATED: &str = "simulated";

/// Where a simulated exchange has its prices: where Buenbit has them.
const PLACES: [(&str, &str); 4] = [
    ("enabled", "true"),
    ("ask", "/object/btcars/selling_price"),
    ("bid", "/object/btcars/purchase_price"),
    ("check", "/errors == []"),
];

/// The environment variables that make a process ask the simulated exchange of a configuration alone.
pub fn simulation(config: &Config) -> Vec<(String, String)> {
    let others = config.sources.named.keys().filter(|name| *name != SIMULATED);
    let mut settings: Vec<(String, String)> =
        others.map(|name| (format!("sources.{name}.enabled"), "false".to_owned())).collect();
    let url = format!("http://{}/api/market/tickers", config.exchange.listen);
    settings.push((format!("sources.{SIMULATED}.url"), url));
    let places =
        PLACES.map(|(key, value)| (format!("sources.{SIMULATED}.{key}"), value.to_owned()));
    settings.extend(places);
    settings.push(("sources.policy".to_owned(), "first".to_owned()));
    settings.into_iter().map(|(key, value)| (variable(&key), value)).collect()
}
