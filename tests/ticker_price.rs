//! `/api/ticker-price/`: the price in one second.

use serde_json::json;

use crate::harness::{Api, Database};

#[tokio::test]
async fn the_price_of_the_second_or_null_is_returned() {
    let database = Database::new().await;
    database.put_prices(&[("100", "84436700.12:100"), ("101.7", "5.0")]).await;
    let api = Api::start(&database).await;
    let at = |time: &str| {
        let path = format!("/api/ticker-price/?timestamp={time}");
        let api = &api;
        async move { api.get(&path).await.ok() }
    };
    assert_eq!(at("100").await, json!({"price": 84_436_700.12}));
    assert_eq!(at("100.9").await, json!({"price": 84_436_700.12}));
    assert_eq!(at("1970-01-01T00:01:40Z").await, json!({"price": 84_436_700.12}));
    assert_eq!(at("101").await, json!({"price": 5.0}), "the old stack stored fractions of seconds");
    assert_eq!(at("99").await, json!({"price": null}));
    assert_eq!(at("102").await, json!({"price": null}));
}

#[tokio::test]
async fn the_timestamp_is_required_and_must_be_a_time() {
    let api = Api::start(&Database::new().await).await;
    for query in ["", "?timestamp=", "?timestamp=noon", "?timestamp=1e400"] {
        let problem = api.get(&format!("/api/ticker-price/{query}")).await.problem(400);
        assert_eq!(problem["parameter"], "timestamp", "{query}");
    }
}
