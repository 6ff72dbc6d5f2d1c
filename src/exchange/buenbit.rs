//! Buenbit: `GET /api/market/tickers`, all markets in one answer, prices as strings.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::{ExchangeError, PriceSource, http};
use crate::{
    domain::Price,
    http_client::{self, Tls},
};

const NAME: &str = "buenbit";

/// What a buyer of bitcoin pays. `purchase_price` beside it is the bid.
const ASK: &str = "/object/btcars/selling_price";

/// The public ticker of the exchange Buenbit.
#[derive(Debug, Clone)]
pub struct Buenbit {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Buenbit {
    /// Asks at `url`, each time for at most `timeout`.
    ///
    /// # Errors
    /// If `url` is an https one and the machine's certificates cannot be loaded.
    pub fn new(url: Url, timeout: Duration) -> reqwest::Result<Self> {
        let tls = if url.scheme() == "https" { Tls::Verified } else { Tls::None };
        Ok(Self { client: http_client::new(tls, timeout)?, url, timeout })
    }
}

impl PriceSource for Buenbit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn price(&self) -> BoxFuture<'_, Result<Price, ExchangeError>> {
        async {
            let answer = http::get_json(&self.client, &self.url, NAME, self.timeout).await?;
            ask(&answer).map_err(|reason| ExchangeError::BadAnswer { source_name: NAME, reason })
        }
        .boxed()
    }
}

/// The asking price in an answer, or what was seen in its place.
fn ask(answer: &Value) -> Result<Price, String> {
    if let Some(errors) = answer.get("errors").and_then(Value::as_array)
        && !errors.is_empty()
    {
        let errors = Value::Array(errors.clone()).to_string();
        return Err(format!("it reports errors: {}", http::beginning(&errors)));
    }
    let text = match answer.pointer(ASK) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => {
            let seen = http::beginning(&other.to_string());
            return Err(format!("object.btcars.selling_price is {seen}, not a price"));
        }
        None => {
            let seen = http::beginning(&answer.to_string());
            return Err(format!("no object.btcars.selling_price in {seen}"));
        }
    };
    text.parse().map_err(|error| format!("object.btcars.selling_price: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_ask_is_read_from_a_recorded_answer() {
        let recorded = include_str!("../../tests/fixtures/buenbit-tickers.json");
        let answer = serde_json::from_str(recorded).unwrap();
        assert_eq!(ask(&answer).unwrap().to_string(), "84436700.0");
    }

    #[test]
    fn a_bad_answer_says_what_was_seen() {
        let check = |answer: Value, seen: &str| {
            let reason = ask(&answer).unwrap_err();
            assert!(reason.contains(seen), "{answer}: {reason}");
        };
        let with_price = |price: Value| json!({"object": {"btcars": {"selling_price": price}}});
        check(json!({}), "no object.btcars.selling_price in {}");
        check(json!([1, 2]), "[1,2]");
        check(json!({"object": {}, "errors": ["maintenance"]}), "maintenance");
        check(with_price(Value::Null), "is null");
        check(with_price(json!(["84436700.0"])), "is [\"84436700.0\"]");
        for text in ["", "NaN", "-84436700.0", "0", "1e8", "84,436,700"] {
            check(with_price(json!(text)), text);
        }
        check(with_price(json!(-1)), "-1");
    }

    #[test]
    fn a_price_may_come_as_a_number_too() {
        let answer = json!({"object": {"btcars": {"selling_price": 84_436_700.5}}, "errors": []});
        assert_eq!(ask(&answer).unwrap().to_string(), "84436700.5");
    }
}
