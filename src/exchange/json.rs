//! A source that answers a GET request with JSON. The configuration says where in it the prices are.

use std::str::FromStr as _;

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::{
    Client,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{AnswerError, ExchangeError, PriceSource, http};
use crate::{
    clock::Clock,
    config::Source,
    domain::{Price, PriceRejection, Quote, UnixTime},
    json_locator::JsonLocator,
};

/// Larger numbers are unix milliseconds: as seconds, they would lie after the year 5138.
const LARGEST_SECOND: f64 = 1e11;
/// How far the clock of a source may be ahead of the clock of Redis, in seconds.
const MAX_AHEAD: i64 = 60;

/// A source that answers with JSON.
#[derive(Debug)]
pub(super) struct JsonSource {
    client: Client,
    headers: HeaderMap,
    config: Source,
    clock: Clock,
}

impl JsonSource {
    pub(super) fn new(client: Client, config: Source, clock: Clock) -> Self {
        let mut headers = HeaderMap::new();
        for header in &config.headers {
            if let Some((name, value)) = header.split_once(':')
                && let (Ok(name), Ok(mut value)) =
                    (HeaderName::from_str(name), HeaderValue::from_str(value.trim()))
            {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        Self { client, headers, config, clock }
    }
}

impl PriceSource for JsonSource {
    fn quote(&self) -> BoxFuture<'_, Result<Quote, ExchangeError>> {
        async {
            let (url, headers) = (&self.config.url, &self.headers);
            let answer = http::get_json(&self.client, url, headers, &self.clock).await?;
            read(&answer, &self.config, self.clock.unix_seconds())
        }
        .boxed()
    }
}

/// Reads the quote from an answer that was received at the unix second `now`.
fn read(answer: &Value, config: &Source, now: i64) -> Result<Quote, ExchangeError> {
    if let Some(check) = &config.check {
        check.verify(answer).map_err(AnswerError::from)?;
    }
    let ask = price(answer, &config.ask)?;
    let bid = config.bid.as_ref().map(|locator| price(answer, locator)).transpose()?;
    if let Some(bid) = bid.filter(|bid| bid.ten_thousandths() > ask.ten_thousandths()) {
        return Err(AnswerError::AskBelowBid { ask, bid }.into());
    }
    if let Some(locator) = &config.time {
        let second = time(answer, locator)?;
        let max_age = i64::try_from(config.max_age.as_secs()).unwrap_or(i64::MAX);
        let age = now.saturating_sub(second);
        if !(-MAX_AHEAD..=max_age).contains(&age) {
            let reason = PriceRejection::NotCurrent { second, age };
            return Err(ExchangeError::Rejected { price: ask, reason });
        }
    }
    Ok(Quote { ask, bid })
}

fn price(answer: &Value, locator: &JsonLocator) -> Result<Price, AnswerError> {
    let text = match find(answer, locator)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(wrong_kind(locator, other, "price")),
    };
    text.parse().map_err(|error| AnswerError::Price { locator: locator.clone(), error })
}

fn time(answer: &Value, locator: &JsonLocator) -> Result<i64, AnswerError> {
    let found = find(answer, locator)?;
    let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    #[allow(clippy::cast_possible_truncation, reason = "below 1e14; a cast saturates")]
    match text.parse::<f64>() {
        Ok(number) if !(0.0..=1000.0 * LARGEST_SECOND).contains(&number) => {
            Err(wrong_kind(locator, found, "time"))
        }
        Ok(number) if number > LARGEST_SECOND => Ok((number / 1000.0).floor() as i64),
        Ok(number) => Ok(number.floor() as i64),
        // Some exchanges write the offset without a colon, which RFC 3339 does not allow.
        Err(_) => chrono::DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z")
            .map(|time| time.timestamp())
            .or_else(|_| text.parse::<UnixTime>().map(UnixTime::second))
            .map_err(|_| wrong_kind(locator, found, "time")),
    }
}

fn find<'a>(answer: &'a Value, locator: &JsonLocator) -> Result<&'a Value, AnswerError> {
    locator.find(answer).ok_or_else(|| AnswerError::Missing {
        locator: locator.clone(),
        beginning: beginning(answer),
    })
}

fn wrong_kind(locator: &JsonLocator, found: &Value, expected: &'static str) -> AnswerError {
    AnswerError::WrongKind { locator: locator.clone(), found: beginning(found), expected }
}

fn beginning(value: &Value) -> String {
    http::beginning(&value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    /// A unix second at which all fixtures are current.
    const NOW: i64 = 1_733_306_100;

    fn source(name: &str) -> Source {
        Config::default().sources.named.remove(name).unwrap()
    }

    #[test]
    fn every_shipped_source_reads_an_answer_in_its_documented_form() {
        let check = |name: &str, documented: &str, ask: &str, bid: &str| {
            let answer = serde_json::from_str(documented).unwrap();
            let quote = read(&answer, &source(name), NOW).unwrap();
            let bid_read = quote.bid.unwrap().to_string();
            assert_eq!((quote.ask.to_string().as_str(), bid_read.as_str()), (ask, bid), "{name}");
        };
        macro_rules! fixture {
            ($file:literal) => {
                include_str!(concat!("../../tests/fixtures/", $file))
            };
        }
        check("buenbit", fixture!("buenbit-tickers.json"), "84436700.0", "82781100.0");
        check("criptoya", fixture!("criptoya-btc-ars.json"), "109568192.72", "106321046.1");
        check("bitso", fixture!("bitso-ticker.json"), "109568190", "109210000");
        check("satoshitango", fixture!("satoshitango-ticker.json"), "109900000.5", "105100000.25");
        check("belo", fixture!("belo-price.json"), "109700000.00", "106800000.00");
        assert_eq!(Config::default().sources.named.len(), 5, "one of them has no fixture");
    }

    #[test]
    fn a_bad_answer_is_quoted_in_the_error() {
        let buenbit = source("buenbit");
        let check = |answer: Value, expected: &str| {
            let error = read(&answer, &buenbit, NOW).unwrap_err();
            assert!(matches!(error, ExchangeError::BadAnswer { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{answer}: {error}");
        };
        let with = |ask: Value, bid: Value| {
            let market = json!({"selling_price": ask, "purchase_price": bid});
            json!({"object": {"btcars": market}, "errors": []})
        };
        check(json!({"errors": []}), "nothing at /object/btcars/selling_price in {");
        check(json!([1, 2]), "nothing at /errors");
        check(json!({"object": {}, "errors": ["maintenance"]}), "maintenance");
        check(with(Value::Null, json!("1")), "is null");
        check(with(json!(["84436700.0"]), json!("1")), "is [\"84436700.0\"]");
        check(with(json!("1"), Value::Null), "purchase_price is null");
        check(with(json!("84436700.0"), json!("84436700.1")), "is below the bid");
        for text in ["", "NaN", "-84436700.0", "0", "1e8", "84,436,700"] {
            check(with(json!(text), json!("1")), text);
        }
        check(with(json!(-1), json!(1)), "-1");
    }

    #[test]
    fn a_price_may_be_a_json_number_with_an_exponent() {
        let criptoya = source("criptoya");
        let ask = |text: &str| {
            let answer = format!("{{\"ask\": {text}, \"bid\": 1, \"time\": {NOW}}}");
            read(&serde_json::from_str(&answer).unwrap(), &criptoya, NOW)
                .map(|quote| quote.ask.to_string())
        };
        assert_eq!(ask("84436700.5").unwrap(), "84436700.5");
        assert_eq!(ask("1.0943670e8").unwrap(), "109436700.0");
        assert!(ask("1e30").unwrap_err().to_string().contains("plain decimal"));
    }

    #[test]
    fn a_price_that_is_not_current_is_rejected() {
        let criptoya = source("criptoya");
        let check = |time: Value| {
            let answer = json!({"ask": 2, "bid": 1, "time": time});
            read(&answer, &criptoya, NOW)
        };
        for fresh in
            [json!(NOW - 60), json!(NOW + 60), json!((NOW - 5) * 1000), json!("1733306090.5")]
        {
            assert!(check(fresh.clone()).is_ok(), "{fresh}");
        }
        for fresh in
            ["2024-12-04T09:54:50Z", "2024-12-04T06:54:50.123-03:00", "2024-12-04T09:54:50+0000"]
        {
            assert!(check(json!(fresh)).is_ok(), "{fresh}");
        }
        for other in [json!(NOW - 61), json!(NOW + 61), json!(0), json!("2024-12-04T09:50:00Z")] {
            let error = check(other.clone()).unwrap_err();
            assert!(matches!(error, ExchangeError::Rejected { .. }), "{other}: {error}");
        }
        for none in [
            json!(null),
            json!("soon"),
            json!({}),
            json!("-inf"),
            json!("NaN"),
            json!(-1e300),
            json!(1e300),
        ] {
            let error = check(none.clone()).unwrap_err();
            assert!(error.to_string().contains("not a time"), "{none}: {error}");
        }
    }

    #[test]
    fn the_bid_may_equal_the_ask() {
        let answer = json!({"ask": 2, "bid": 2, "time": NOW});
        let quote = read(&answer, &source("criptoya"), NOW).unwrap();
        assert_eq!(quote.bid, Some(quote.ask));
    }

    #[test]
    fn only_a_number_above_the_largest_second_counts_milliseconds() {
        let second = |time: i64| {
            let answer = json!({"ask": 2, "bid": 1, "time": time});
            match read(&answer, &source("criptoya"), NOW).unwrap_err() {
                ExchangeError::Rejected {
                    reason: PriceRejection::NotCurrent { second, .. },
                    ..
                } => second,
                other => panic!("{other}"),
            }
        };
        assert_eq!(second(100_000_000_000), 100_000_000_000);
        assert_eq!(second(100_000_001_000), 100_000_001);
    }
}
