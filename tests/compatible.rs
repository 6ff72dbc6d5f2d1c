//! The endpoints that are compatible with CoinGecko and CriptoYa.

use cotiza::domain::{Attempt, Quote};
use serde_json::{Value, json};

use crate::harness::{Api, ApiResponse, Database, slots_of};

async fn api() -> (Api, i64) {
    let database = Database::new().await;
    let now = database.now().await;
    let day = 24 * 3600;
    database.record(&[(now - day - 30, "100"), (now - 7200, "120.5"), (now, "110")]).await;
    let quote = Quote { ask: "110".parse().unwrap(), bid: Some("105.5".parse().unwrap()) };
    let slot = slots_of(10).containing(now);
    let attempt = Attempt {
        source: "buenbit".to_owned(),
        at: now,
        took: std::time::Duration::from_millis(20),
        answer: Ok(quote),
    };
    database.store().record_attempts(slot, &[attempt]).await.unwrap();
    (Api::start(&database).await, now)
}

fn refused(answer: &ApiResponse, status: u16, error: &str) {
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((answer.status.as_u16(), body), (status, json!({"error": error})));
}

#[tokio::test]
async fn coingecko_returns_the_last_price() {
    let (api, now) = api().await;
    let simple = |query: &str| {
        let (api, path) = (&api, format!("/api/v3/simple/price?{query}"));
        async move { api.get(&path).await }
    };
    let all = "include_24hr_change=true&include_last_updated_at=true&include_market_cap=true&include_24hr_vol=true";
    assert_eq!(
        simple(&format!("ids=bitcoin,ethereum&vs_currencies=ars,usd&{all}")).await.ok(),
        json!({"bitcoin": {
            "ars": 110.0, "ars_market_cap": null, "ars_24h_vol": null, "ars_24h_change": 10.0,
            "last_updated_at": now,
        }})
    );
    assert_eq!(
        simple("ids=bitcoin&vs_currencies=ARS").await.ok(),
        json!({"bitcoin": {"ars": 110.0}})
    );
    assert_eq!(simple("ids=bitcoin&vs_currencies=usd").await.ok(), json!({"bitcoin": {}}));
    assert_eq!(simple("ids=dogecoin&vs_currencies=ars").await.ok(), json!({}));
    refused(&simple("vs_currencies=ars").await, 422, "Missing parameter ids");
    refused(&simple("ids=bitcoin").await, 422, "Missing parameter vs_currencies");
    assert_eq!(api.get("/api/v3/ping").await.ok(), json!({"gecko_says": "(V3) To the Moon!"}));
}

#[tokio::test]
async fn coingecko_returns_charts_and_candles() {
    let (api, now) = api().await;
    let of = |path: &str| {
        let (api, path) = (&api, format!("/api/v3/coins/{path}"));
        async move { api.get(&path).await }
    };
    let hour_ago = now - 7200;
    let chart = of("bitcoin/market_chart?vs_currency=ars&days=1").await.ok();
    assert_eq!(chart["prices"], json!([[hour_ago * 1000, 120.5], [now * 1000, 110.0]]));
    assert_eq!(chart["total_volumes"], json!([[hour_ago * 1000, null], [now * 1000, null]]));
    let chart = of("bitcoin/market_chart?vs_currency=ars&days=max").await.ok();
    assert!(chart["prices"].as_array().unwrap().len() >= 2);
    let path =
        format!("bitcoin/market_chart/range?vs_currency=ars&from={}&to={}", hour_ago - 1, hour_ago);
    assert_eq!(of(&path).await.ok()["prices"], json!([[hour_ago * 1000, 120.5]]));
    let candles = of("bitcoin/ohlc?vs_currency=ars&days=1").await.ok();
    let end = (hour_ago.div_euclid(1800) + 1) * 1800 * 1000;
    assert!(
        candles.as_array().unwrap().contains(&json!([end, 120.5, 120.5, 120.5, 120.5])),
        "{candles}"
    );
    refused(&of("dogecoin/ohlc?vs_currency=ars&days=1").await, 404, "coin not found");
    refused(&of("bitcoin/ohlc?vs_currency=usd&days=1").await, 422, "invalid vs_currency");
    refused(&of("bitcoin/ohlc?vs_currency=ars").await, 422, "Missing parameter days");
    refused(&of("bitcoin/market_chart?days=1").await, 422, "Missing parameter vs_currency");
    refused(&of("bitcoin/market_chart?vs_currency=ars&days=-1").await, 422, "Invalid days");
    refused(
        &of("bitcoin/market_chart/range?vs_currency=ars&to=5").await,
        422,
        "Missing parameter from",
    );
}

#[tokio::test]
async fn a_chart_of_a_range_has_the_first_price_of_each_interval_within_the_range() {
    let database = Database::new().await;
    let base = 1_699_999_200; // the start of an hour
    let samples = [(0, "1"), (100, "2"), (200, "3"), (310, "4"), (650, "5")];
    let samples = samples.map(|(second, price)| (base + second, price));
    database.record(&samples).await;
    let api = Api::start(&database).await;
    for (from, to, expected) in [
        (0, 650, vec![(0, 1.0), (310, 4.0), (650, 5.0)]),
        // The first interval begins before the range; the only price of the last one is after the range.
        (50, 640, vec![(100, 2.0), (310, 4.0)]),
        (100, 310, vec![(100, 2.0), (310, 4.0)]),
        (201, 649, vec![(310, 4.0)]),
        (101, 250, vec![(200, 3.0)]),
        (101, 199, vec![]),
    ] {
        let range = format!("vs_currency=ars&from={}&to={}", base + from, base + to);
        let path = format!("/api/v3/coins/bitcoin/market_chart/range?{range}");
        let expected: Vec<Value> =
            expected.iter().map(|(at, price)| json!([(base + at) * 1000, price])).collect();
        assert_eq!(api.get(&path).await.ok()["prices"], json!(expected), "{from} to {to}");
    }
}

#[tokio::test]
async fn criptoya_returns_the_quotes_of_the_sources() {
    let (api, now) = api().await;
    let quote =
        json!({"ask": 110.0, "totalAsk": 110.0, "bid": 105.5, "totalBid": 105.5, "time": now});
    assert_eq!(api.get("/api/btc/ars/0.1").await.ok(), json!({"buenbit": quote}));
    assert_eq!(api.get("/api/buenbit/btc/ars/1/").await.ok(), quote);
    assert_eq!(api.get("/api/BuenBit/BTC/ARS/1").await.ok(), quote);
    for (path, status, says) in [
        ("/api/unknown/btc/ars/1", 404, "Invalid exchange"),
        ("/api/bitso/btc/ars/1", 404, "Invalid exchange"),
        ("/api/eth/ars/1", 404, "Invalid pair"),
        ("/api/buenbit/btc/usd/1", 404, "Invalid pair"),
        ("/api/buenbit/btc/ars/none", 400, "above 0"),
        ("/api/btc/ars/-1", 400, "above 0"),
    ] {
        let problem = api.get(path).await.problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
}
