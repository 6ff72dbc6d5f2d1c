//! Sources with faulty responses: the slot is missed with the right reason, and nothing is stored.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    config::Config,
    domain::{MissedReason, Price, PriceFilter, Slots},
    exchange::Sources,
    jobs::FetchBtcArs,
    queue::Job,
    store::keys,
};
use futures_util::future::join_all;

use crate::harness::{Database, Fault, FaultyServer};

const EVERY: Duration = Duration::from_secs(2);

/// Runs the job of the next slot with a faulty source; returns the error and the recorded reasons.
async fn missed(fault: Fault, scheme: &str) -> (String, Vec<String>) {
    let (database, server) = (Database::new().await, FaultyServer::start(fault).await);
    let mut config = Config::default();
    let buenbit = config.sources.named.get_mut("buenbit").unwrap();
    buenbit.url = server.url(scheme).parse().unwrap();
    buenbit.timeout = Duration::from_millis(500);
    buenbit.time = Some("/time".parse().unwrap());
    buenbit.check = None;
    let slots = Slots::new(EVERY).unwrap();
    let price = Price::from_pesos;
    let sources = Sources::new(&config.sources, EVERY, &Clock::machine()).unwrap();
    let price_filter = PriceFilter::new(price(1_000_000), price(100_000_000_000), 0.1);
    let context = database.context(slots, sources, price_filter);
    let slot = slots.containing(Clock::machine().unix_seconds()).next();
    let ended = FetchBtcArs { slot: slot.start() }.run(context, 1).await;
    assert!(server.connection_count() >= 1, "no request was sent");
    assert!(database.prices().await.is_empty(), "something was stored");
    let mut reasons = Vec::new();
    for reason in MissedReason::ALL {
        let key = keys::missed(reason);
        let slots: Vec<String> = database.command(&["ZRANGE", &key, "0", "-1"]).await;
        if slots == [slot.start().to_string()] {
            reasons.push(reason.name().to_owned());
        }
    }
    let error = ended.unwrap_err().to_string();
    assert!(error.len() < 600, "an error of {} bytes", error.len());
    (error, reasons)
}

/// Returns a ticker with these prices and the current time.
fn ticker(ask: &str, bid: &str) -> Fault {
    ticker_of(ask, bid, &Clock::machine().unix_seconds().to_string())
}

fn ticker_of(ask: &str, bid: &str, time: &str) -> Fault {
    let market = format!("{{\"selling_price\": {ask}, \"purchase_price\": {bid}}}");
    Fault::json(format!("{{\"object\": {{\"btcars\": {market}}}, \"time\": {time}}}"))
}

/// The fault, the expected reason and a part of the expected error.
type Case = (Fault, &'static str, &'static str);

/// Returns faults of HTTP and of the JSON syntax.
fn http_faults() -> Vec<Case> {
    vec![
        (Fault::Silent, "exchange_timeout", "no answer within"),
        (Fault::Drip, "exchange_timeout", "no answer within"),
        (Fault::Endless, "bad_answer", "longer than 1048576 bytes"),
        (Fault::Reset, "exchange_error", "cannot be reached"),
        (Fault::gzip_bomb(), "bad_answer", "longer than 1048576 bytes"),
        (
            Fault::response(
                "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip",
                "x",
            ),
            "bad_answer",
            "",
        ),
        (Fault::Bytes(b"no HTTP at all\r\n\r\n".to_vec()), "exchange_error", "cannot be reached"),
        (
            Fault::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec()),
            "bad_answer",
            "it broke off",
        ),
        (Fault::response("200 OK\r\ncontent-type: text/html", "<html>"), "bad_answer", "no JSON"),
        (Fault::response("204 No Content", ""), "bad_answer", "no JSON"),
        (Fault::response("302 Found\r\nlocation: /ticker", ""), "exchange_error", "redirects"),
        (
            Fault::response("302 Found\r\nlocation: http://127.0.0.2:9/ticker?key=secret", ""),
            "exchange_error",
            "it redirects to http://127.0.0.2/ticker: if",
        ),
        (Fault::response("429 Too Many\r\nretry-after: 30", ""), "exchange_error", "pause of 30s"),
        (Fault::response("503 Busy\r\nretry-after: 9", ""), "exchange_error", "pause of 9s"),
        (Fault::response("500 Oh", ""), "exchange_error", "HTTP status 500"),
        (Fault::response("404 Gone", "{}"), "exchange_error", "HTTP status 404"),
        (Fault::json("{\"object\": "), "bad_answer", "no JSON"),
        (Fault::json(b"\xff\xfe\xfd"), "bad_answer", "no JSON"),
    ]
}

/// Returns invalid prices and times.
fn invalid_tickers() -> Vec<Case> {
    let good = "\"84436700.0\"";
    vec![
        (ticker("\"cheap\"", "1"), "bad_answer", "\"cheap\" is not a plain decimal number"),
        (ticker("\"NaN\"", "1"), "bad_answer", "\"NaN\" is not a plain decimal number"),
        (ticker("NaN", "1"), "bad_answer", "no JSON"),
        (ticker("\"8.44e7\"", "1"), "bad_answer", "\"8.44e7\" is not a plain decimal number"),
        (ticker("1e400", "1"), "bad_answer", "no JSON"),
        (ticker("\"-84436700.0\"", "1"), "bad_answer", "-84436700.0"),
        (ticker("-1", "1"), "bad_answer", "-1"),
        (ticker("0", "0"), "bad_answer", "not a positive price"),
        (ticker("\"999999999999999\"", "1"), "bad_answer", "the largest accepted price"),
        (ticker("null", "1"), "bad_answer", "is null"),
        (ticker("[84436700]", "1"), "bad_answer", "not a price"),
        (ticker("[\"\u{202e}\u{9b}\"]", "1"), "bad_answer", "[\"\\u{202e}\\u{9b}\"]"),
        (ticker(good, "84436701"), "bad_answer", "below the bid"),
        (ticker("70000.5", "69000"), "price_rejected", "70000.5 is not between 1000000 and"),
        (ticker("844367000000", "1"), "price_rejected", "is not between"),
        (ticker_of(good, "1", "1717184864"), "price_rejected", "1717184864"),
        (ticker_of(good, "1", "\"2124-05-31T19:47:44Z\""), "price_rejected", "s ago"),
        (ticker_of(good, "1", "\"noon\""), "bad_answer", "not a time"),
        (ticker_of(good, "1", "\"-inf\""), "bad_answer", "not a time"),
        (ticker(&format!("\"0.{}1\"", "0".repeat(900_000)), "1"), "bad_answer", "0.000"),
    ]
}

#[tokio::test]
async fn each_faulty_response_is_recorded_with_its_reason() {
    let cases = http_faults().into_iter().chain(invalid_tickers());
    let checks = cases.map(|(fault, reason, message)| async move {
        let shown = format!("{fault:.80?}");
        let (error, reasons) = missed(fault, "http").await;
        assert!(error.contains("buenbit: ") && error.contains(message), "{shown}: {error}");
        assert_eq!(reasons, [reason], "{shown}: {error}");
    });
    join_all(checks).await;
}

#[tokio::test]
async fn a_server_without_a_trusted_certificate_is_an_exchange_error() {
    for fault in [Fault::SelfSigned, Fault::json("{}")] {
        let (error, reasons) = missed(fault, "https").await;
        assert!(error.contains("cannot be reached"), "{error}");
        assert_eq!(reasons, ["exchange_error"], "{error}");
    }
}

/// Fetches a price the given number of times, one after the other; returns the prices or errors and the
/// number of connections.
async fn fetch(fault: Fault, times: usize) -> (Vec<String>, usize) {
    let server = FaultyServer::start(fault).await;
    let mut config = Config::default();
    let buenbit = config.sources.named.get_mut("buenbit").unwrap();
    buenbit.url = server.url("http").parse().unwrap();
    buenbit.check = None;
    let sources = Sources::new(&config.sources, EVERY, &Clock::machine()).unwrap();
    let price_filter =
        PriceFilter::new(Price::from_pesos(1), Price::from_pesos(100_000_000_000), 0.1);
    let mut outcomes = Vec::new();
    for _ in 0..times {
        let round = sources.fetch(&price_filter, tokio::time::Instant::now() + EVERY).await;
        assert_eq!(round.attempts.len(), 1, "{round:?}");
        outcomes.push(match round.outcome {
            Ok(chosen) => chosen.price.to_string(),
            Err(error) => error.to_string(),
        });
    }
    (outcomes, server.connection_count())
}

const TICKER: &str =
    r#"{"object":{"btcars":{"selling_price":"84436700.0","purchase_price":"82781100.0"}}}"#;

#[tokio::test]
async fn a_response_is_read_as_json_regardless_of_its_content_type() {
    for head in ["application/JSON", "text/html; charset=utf-8", "text/plain", "x/y", ""] {
        let head = format!("200 OK\r\ncontent-type: {head}");
        let (prices, _) = fetch(Fault::response(&head, TICKER), 1).await;
        assert_eq!(prices, ["84436700.0"], "{head}");
    }
    let marked = format!("\u{feff}{TICKER}");
    let (prices, _) = fetch(Fault::response("200 OK", marked), 1).await;
    assert_eq!(prices, ["84436700.0"]);
}

#[tokio::test]
async fn a_keep_alive_connection_closed_by_the_exchange_is_not_a_failure() {
    let length = TICKER.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TICKER}");
    let (prices, connections) = fetch(Fault::Once(answer.into_bytes()), 4).await;
    assert_eq!(prices, ["84436700.0"; 4]);
    assert_eq!(connections, 4, "each connection served one request");
}
