//! Sources that misbehave in every way: each leaves its reason in the ledger, and nothing else.

use std::time::Duration;

use cotiza::{
    clock::Clock,
    config::Config,
    domain::{Doubt, Price, Slots},
    exchange::Sources,
    jobs::FetchBtcArs,
    queue::Job,
};
use futures_util::future::join_all;

use crate::harness::{Database, Rogue, Wrong};

const EVERY: Duration = Duration::from_secs(2);

/// Runs the job of the next slot against the server; gives the error, and what the ledger says.
async fn missed(wrong: Wrong, scheme: &str) -> (String, Vec<String>) {
    let (database, rogue) = (Database::new().await, Rogue::start(wrong).await);
    let mut config = Config::default();
    let buenbit = config.sources.named.get_mut("buenbit").unwrap();
    buenbit.url = rogue.url(scheme).parse().unwrap();
    buenbit.timeout = Duration::from_millis(500);
    buenbit.time = Some("/time".parse().unwrap());
    buenbit.check = None;
    let slots = Slots::new(EVERY).unwrap();
    let price = Price::from_pesos;
    let sources = Sources::new(&config.sources, EVERY, &Clock::machine()).unwrap();
    let doubt = Doubt::new(price(1_000_000), price(100_000_000_000), 0.1);
    let context = database.context(slots, sources, doubt);
    let slot = slots.containing(Clock::machine().unix_seconds()).next();
    let ended = FetchBtcArs { slot: slot.start() }.run(context, 1).await;
    assert!(rogue.asked() >= 1, "it was not asked");
    assert!(database.prices().await.is_empty(), "something was stored");
    let mut told = Vec::new();
    for key in cotiza::store::keys::MISSED {
        let slots: Vec<String> = database.command(&["ZRANGE", key, "0", "-1"]).await;
        if slots == [slot.start().to_string()] {
            told.push(key.rsplit(':').next().unwrap().to_owned());
        }
    }
    let error = ended.unwrap_err().to_string();
    assert!(error.len() < 600, "an error of {} bytes", error.len());
    (error, told)
}

/// A ticker with these prices, of now.
fn ticker(ask: &str, bid: &str) -> Wrong {
    ticker_of(ask, bid, &Clock::machine().unix_seconds().to_string())
}

fn ticker_of(ask: &str, bid: &str, time: &str) -> Wrong {
    let market = format!("{{\"selling_price\": {ask}, \"purchase_price\": {bid}}}");
    Wrong::json(format!("{{\"object\": {{\"btcars\": {market}}}, \"time\": {time}}}"))
}

/// What it does wrong, the reason in the ledger, what the error says.
type Case = (Wrong, &'static str, &'static str);

/// Wrong on the way to the answer.
fn wrong_http() -> Vec<Case> {
    vec![
        (Wrong::Silent, "exchange_timeout", "no answer within"),
        (Wrong::Drip, "exchange_timeout", "no answer within"),
        (Wrong::Endless, "bad_answer", "longer than 1048576 bytes"),
        (Wrong::Reset, "exchange_error", "cannot be reached"),
        (Wrong::gzip_bomb(), "bad_answer", "longer than 1048576 bytes"),
        (
            Wrong::answer(
                "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip",
                "x",
            ),
            "bad_answer",
            "",
        ),
        (Wrong::Bytes(b"no HTTP at all\r\n\r\n".to_vec()), "exchange_error", "cannot be reached"),
        (
            Wrong::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec()),
            "bad_answer",
            "it broke off",
        ),
        (Wrong::answer("200 OK\r\ncontent-type: text/html", "<html>"), "bad_answer", "no JSON"),
        (Wrong::answer("204 No Content", ""), "bad_answer", "no JSON"),
        (Wrong::answer("302 Found\r\nlocation: /ticker", ""), "exchange_error", "redirects"),
        (
            Wrong::answer("302 Found\r\nlocation: http://127.0.0.2:9/ticker?key=secret", ""),
            "exchange_error",
            "it has moved to http://127.0.0.2/ticker: if",
        ),
        (Wrong::answer("429 Too Many\r\nretry-after: 30", ""), "exchange_error", "pause of 30s"),
        (Wrong::answer("503 Busy\r\nretry-after: 9", ""), "exchange_error", "pause of 9s"),
        (Wrong::answer("500 Oh", ""), "exchange_error", "HTTP status 500"),
        (Wrong::answer("404 Gone", "{}"), "exchange_error", "HTTP status 404"),
        (Wrong::json("{\"object\": "), "bad_answer", "no JSON"),
        (Wrong::json(b"\xff\xfe\xfd"), "bad_answer", "no JSON"),
    ]
}

/// Wrong prices and times.
fn wrong_tickers() -> Vec<Case> {
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
        (ticker("\"999999999999999\"", "1"), "bad_answer", "the largest price"),
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
async fn each_wrong_answer_leaves_its_reason() {
    let cases = wrong_http().into_iter().chain(wrong_tickers());
    let checks = cases.map(|(wrong, reason, message)| async move {
        let shown = format!("{wrong:.80?}");
        let (error, told) = missed(wrong, "http").await;
        assert!(error.contains("buenbit: ") && error.contains(message), "{shown}: {error}");
        assert_eq!(told, [reason], "{shown}: {error}");
    });
    join_all(checks).await;
}

#[tokio::test]
async fn who_cannot_prove_who_he_is_is_not_believed() {
    for wrong in [Wrong::SelfSigned, Wrong::json("{}")] {
        let (error, told) = missed(wrong, "https").await;
        assert!(error.contains("cannot be reached"), "{error}");
        assert_eq!(told, ["exchange_error"], "{error}");
    }
}

/// The prices that a source is asked for, one after the other, each in a round of its own.
async fn asked(wrong: Wrong, times: usize) -> (Vec<String>, usize) {
    let rogue = Rogue::start(wrong).await;
    let mut config = Config::default();
    let buenbit = config.sources.named.get_mut("buenbit").unwrap();
    buenbit.url = rogue.url("http").parse().unwrap();
    buenbit.check = None;
    let sources = Sources::new(&config.sources, EVERY, &Clock::machine()).unwrap();
    let doubt = Doubt::new(Price::from_pesos(1), Price::from_pesos(100_000_000_000), 0.1);
    let mut outcomes = Vec::new();
    for _ in 0..times {
        let round = sources.ask(&doubt, tokio::time::Instant::now() + EVERY).await;
        assert_eq!(round.attempts.len(), 1, "{round:?}");
        outcomes.push(match round.outcome {
            Ok(chosen) => chosen.price.to_string(),
            Err(error) => error.to_string(),
        });
    }
    (outcomes, rogue.asked())
}

const TICKER: &str =
    r#"{"object":{"btcars":{"selling_price":"84436700.0","purchase_price":"82781100.0"}}}"#;

#[tokio::test]
async fn an_answer_is_taken_by_its_body_whatever_its_type_is_said_to_be() {
    for head in ["application/JSON", "text/html; charset=utf-8", "text/plain", "x/y", ""] {
        let head = format!("200 OK\r\ncontent-type: {head}");
        let (prices, _) = asked(Wrong::answer(&head, TICKER), 1).await;
        assert_eq!(prices, ["84436700.0"], "{head}");
    }
    let marked = format!("\u{feff}{TICKER}");
    let (prices, _) = asked(Wrong::answer("200 OK", marked), 1).await;
    assert_eq!(prices, ["84436700.0"]);
}

#[tokio::test]
async fn a_kept_connection_that_the_exchange_closes_is_no_failure() {
    let length = TICKER.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TICKER}");
    let (prices, connections) = asked(Wrong::Once(answer.into_bytes()), 4).await;
    assert_eq!(prices, ["84436700.0"; 4]);
    assert_eq!(connections, 4, "each one served once");
}
