//! A simulated exchange: answers in the shape of Buenbit, for demos and tests without internet.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use poem::{
    Endpoint, EndpointExt, IntoResponse, Response, Route, get, handler,
    http::StatusCode,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How the exchange behaves; may be changed while it runs with `PUT /behaviour`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How long it takes to answer.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// The share of requests answered with status 500, 0 to 1.
    pub error_rate: f64,
    /// The share of requests answered with rubbish, 0 to 1.
    pub malformed_rate: f64,
}

/// An exchange whose prices are a random walk. Clones share one market.
#[derive(Debug, Clone)]
pub struct SimulatedExchange {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    rng: Rng,
    markets: Vec<Market>,
}

/// One market; its price is in tenths of a peso (or dollar), as the real one writes it.
#[derive(Debug)]
struct Market {
    base: &'static str,
    quote: &'static str,
    tenths: u64,
    open_tenths: u64,
}

/// What the real exchange lists, with prices of the order of mid-2024.
const MARKETS: [(&str, &str, u64); 6] = [
    ("btc", "ars", 844_367_000),
    ("eth", "ars", 46_500_000),
    ("dai", "ars", 11_500),
    ("usdt", "ars", 11_600),
    ("btc", "usd", 700_000),
    ("dai", "usd", 10),
];

/// Answers that are no tickers, as seen from gateways, caches and careless releases.
const RUBBISH: [&str; 8] = [
    "",
    "<html><body>502 Bad Gateway</body></html>",
    "{\"object\":",
    "{\"object\":{},\"errors\":[]}",
    "{\"object\":{},\"errors\":[\"maintenance\"]}",
    "{\"object\":{\"btcars\":{\"selling_price\":null}},\"errors\":[]}",
    "{\"object\":{\"btcars\":{\"selling_price\":\"NaN\"}},\"errors\":[]}",
    "{\"object\":{\"btcars\":{\"selling_price\":\"-1.0\"}},\"errors\":[]}",
];

impl SimulatedExchange {
    /// An exchange that behaves as told; the same seed gives the same sequence of answers.
    pub fn new(behaviour: Behaviour, seed: u64) -> Self {
        let market = |&(base, quote, tenths)| Market { base, quote, tenths, open_tenths: tenths };
        let state = State {
            behaviour,
            rng: Rng::with_seed(seed),
            markets: MARKETS.iter().map(market).collect(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Changes how it behaves from the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// Its HTTP routes: `/api/market/tickers` as the real one, and `/behaviour`.
    pub fn routes(&self) -> impl Endpoint + use<> {
        Route::new()
            .at("/api/market/tickers", get(tickers))
            .at("/behaviour", get(show_behaviour).put(set_behaviour))
            .data(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&mut self) -> Response {
        if self.rng.f64() < self.behaviour.error_rate {
            return StatusCode::INTERNAL_SERVER_ERROR.into();
        }
        if self.rng.f64() < self.behaviour.malformed_rate {
            return self.rng.choice(RUBBISH).unwrap_or_default().into_response();
        }
        let mut object = Map::new();
        for market in &mut self.markets {
            market.step(&mut self.rng);
            object.insert(format!("{}{}", market.base, market.quote), market.ticker());
        }
        Json(json!({"object": object, "errors": []})).into_response()
    }
}

impl Market {
    /// One step of the walk: at most a thousandth up or down.
    fn step(&mut self, rng: &mut Rng) {
        let most = self.tenths / 1000;
        self.tenths = (self.tenths - most + rng.u64(0..=2 * most)).max(1);
    }

    fn ticker(&self) -> Value {
        let text = |tenths: u64| format!("{}.{}", tenths / 10, tenths % 10);
        json!({
            "currency": self.quote,
            "bid_currency": self.base,
            "ask_currency": self.quote,
            "purchase_price": text(self.tenths - self.tenths / 50),
            "selling_price": text(self.tenths),
            "open_price": text(self.open_tenths),
            "market_identifier": format!("{}{}", self.base, self.quote),
        })
    }
}

#[handler]
async fn tickers(exchange: Data<&SimulatedExchange>) -> Response {
    let latency = exchange.lock().behaviour.latency;
    tokio::time::sleep(latency).await;
    exchange.lock().answer()
}

#[handler]
async fn show_behaviour(exchange: Data<&SimulatedExchange>) -> Json<Behaviour> {
    Json(exchange.lock().behaviour)
}

#[handler]
async fn set_behaviour(
    exchange: Data<&SimulatedExchange>,
    told: Json<Behaviour>,
) -> Json<Behaviour> {
    exchange.behave(told.0);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bitcoin prices of the first answers of an exchange with this seed.
    async fn prices(seed: u64) -> Vec<String> {
        let exchange = SimulatedExchange::new(Behaviour::default(), seed);
        let mut prices = Vec::new();
        for _ in 0..5 {
            let answer = exchange.lock().answer();
            let body = answer.into_body().into_string().await.unwrap();
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(answer["object"].as_object().unwrap().len(), MARKETS.len());
            prices.push(answer["object"]["btcars"]["selling_price"].as_str().unwrap().to_owned());
        }
        prices
    }

    #[tokio::test]
    async fn the_same_seed_walks_the_same_way() {
        let walk = prices(7).await;
        assert_eq!(walk, prices(7).await);
        assert_ne!(walk, prices(8).await);
        assert!(walk.windows(2).any(|pair| pair[0] != pair[1]), "{walk:?}");
    }

    #[test]
    fn a_walk_stays_positive() {
        let mut rng = Rng::with_seed(1);
        let mut market = Market { base: "x", quote: "y", tenths: 1, open_tenths: 1 };
        for _ in 0..1000 {
            market.step(&mut rng);
            assert!(market.tenths >= 1);
        }
    }
}
