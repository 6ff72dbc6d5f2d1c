//! A simulated exchange that answers like Buenbit, for demonstrations and tests without internet.

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

/// How the exchange behaves. `PUT /behaviour` changes it while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How long each answer takes.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// The share of requests that are answered with status 500, from 0 to 1.
    pub error_rate: f64,
    /// The share of requests that are answered with a malformed response, from 0 to 1.
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

/// One market. Its prices are in tenths of a peso or dollar, the precision of the real exchange.
#[derive(Debug)]
struct Market {
    base: &'static str,
    quote: &'static str,
    tenths: u64,
    open_tenths: u64,
}

/// The markets of the real exchange, with their approximate prices of mid-2024 in tenths.
const MARKETS: [(&str, &str, u64); 6] = [
    ("btc", "ars", 844_367_000),
    ("eth", "ars", 46_500_000),
    ("dai", "ars", 11_500),
    ("usdt", "ars", 11_600),
    ("btc", "usd", 700_000),
    ("dai", "usd", 10),
];

/// Malformed answers, such as gateways, caches and faulty releases produce.
const MALFORMED: [&str; 8] = [
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
    /// An exchange with this behaviour. The same seed produces the same sequence of answers.
    pub fn new(behaviour: Behaviour, seed: u64) -> Self {
        let market = |&(base, quote, tenths)| Market { base, quote, tenths, open_tenths: tenths };
        let state = State {
            behaviour,
            rng: Rng::with_seed(seed),
            markets: MARKETS.iter().map(market).collect(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Changes the behaviour from the next request on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// The HTTP routes: `/api/market/tickers`, as at the real exchange, and `/behaviour`.
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
            return self.rng.choice(MALFORMED).unwrap_or_default().into_response();
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
    /// One step of the random walk: at most 0.1 % up or down.
    fn step(&mut self, rng: &mut Rng) {
        let max_step = self.tenths / 1000;
        self.tenths = (self.tenths - max_step + rng.u64(0..=2 * max_step)).max(1);
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
    behaviour: Json<Behaviour>,
) -> Json<Behaviour> {
    exchange.set_behaviour(behaviour.0);
    behaviour
}

#[cfg(test)]
mod tests {
    use poem::{Request, http::Method};

    use super::*;

    const BROKEN: Behaviour =
        Behaviour { latency: Duration::ZERO, error_rate: 1.0, malformed_rate: 0.0 };

    fn exchange(behaviour: Behaviour) -> SimulatedExchange {
        SimulatedExchange::new(behaviour, 7)
    }

    /// Sends a request; returns the status and the body of the answer.
    async fn send(
        exchange: &SimulatedExchange,
        method: Method,
        path: &str,
        body: &str,
    ) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri_str(path);
        let request = request.content_type("application/json").body(body.to_owned());
        let answer = exchange.routes().get_response(request).await;
        (answer.status(), answer.into_body().into_string().await.unwrap())
    }

    async fn ticker(exchange: &SimulatedExchange) -> (StatusCode, String) {
        send(exchange, Method::GET, "/api/market/tickers", "").await
    }

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

    #[tokio::test]
    async fn the_tickers_have_a_price() {
        let (status, body) = ticker(&exchange(Behaviour::default())).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["object"]["btcars"]["bid_currency"], "btc");
    }

    #[tokio::test]
    async fn all_requests_fail_with_an_error_rate_of_1() {
        let exchange = exchange(Behaviour::default());
        exchange.set_behaviour(BROKEN);
        let expected = (StatusCode::INTERNAL_SERVER_ERROR, String::new());
        assert_eq!(ticker(&exchange).await, expected);
    }

    #[tokio::test]
    async fn all_answers_are_rubbish_with_a_malformed_rate_of_1() {
        let malformed = Behaviour { malformed_rate: 1.0, ..Behaviour::default() };
        let (status, body) = ticker(&exchange(malformed)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(MALFORMED.contains(&body.as_str()), "{body}");
    }

    #[tokio::test]
    async fn the_behaviour_can_be_read_and_changed_over_http() {
        let exchange = exchange(BROKEN);
        let shown = r#"{"latency":"0s","error_rate":1.0,"malformed_rate":0.0}"#;
        let ok = |body: &str| (StatusCode::OK, body.to_owned());
        assert_eq!(send(&exchange, Method::GET, "/behaviour", "").await, ok(shown));
        let behaviour = r#"{"latency":"1s","error_rate":0.5,"malformed_rate":0.25}"#;
        assert_eq!(send(&exchange, Method::PUT, "/behaviour", behaviour).await, ok(behaviour));
        assert_eq!(send(&exchange, Method::GET, "/behaviour", "").await, ok(behaviour));
    }

    #[test]
    fn a_step_is_at_most_a_thousandth_up_or_down() {
        let mut rng = Rng::with_seed(1);
        let steps: Vec<i64> = (0..1000)
            .map(|_| {
                let mut market =
                    Market { base: "x", quote: "y", tenths: 100_000, open_tenths: 100_000 };
                market.step(&mut rng);
                market.tenths.cast_signed() - 100_000
            })
            .collect();
        let (most, least) = (steps.iter().max().unwrap(), steps.iter().min().unwrap());
        assert_eq!((*least, *most), (-100, 100));
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
