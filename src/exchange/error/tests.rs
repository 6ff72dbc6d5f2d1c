//! Tests of the errors of sources.

use super::*;

#[test]
fn invisible_characters_of_an_answer_are_escaped() {
    for (sent, shown) in [
        (
            r#"{"a": 'é', "b": "\n"} 84436700.0 ñandú 価格"#,
            r#"{"a": 'é', "b": "\n"} 84436700.0 ñandú 価格"#,
        ),
        ("\u{1b}[31mred", r"\u{1b}[31mred"),
        ("one\r\ntwo\t\0", r"one\r\ntwo\t\0"),
        ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
        ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
        ("a\u{2028}b\u{feff}", r"a\u{2028}b\u{feff}"),
    ] {
        let io = Arc::new(std::io::Error::other(sent.to_owned()));
        let failure = Failure::from(&ExchangeError::BadAnswer(AnswerError::Incomplete(io.clone())));
        assert_eq!(failure.text, format!("bad answer: it broke off: {shown}"));
        let failure = Failure::from(&ExchangeError::Unreachable(io));
        assert_eq!(failure.text, format!("cannot be reached: {shown}"));
    }
}

#[test]
fn a_long_text_is_cut() {
    let io = Arc::new(std::io::Error::other("x".repeat(1000)));
    assert_eq!(Failure::from(&ExchangeError::Unreachable(io)).text.len(), 300);
}

#[test]
fn server_errors_and_limits_are_transient_and_client_errors_are_not() {
    let is_transient = |status| ExchangeError::Status { status, retry_after: None }.is_transient();
    for status in [408, 429, 500, 503] {
        assert!(is_transient(status), "{status}");
    }
    for status in [301, 400, 404, 499] {
        assert!(!is_transient(status), "{status}");
    }
}

#[test]
fn a_requested_pause_is_part_of_the_text() {
    let error = |retry_after| ExchangeError::Status { status: 429, retry_after }.to_string();
    assert_eq!(error(None), "answered with HTTP status 429");
    let pause = Some(Duration::from_secs(90));
    assert_eq!(error(pause), "answered with HTTP status 429 and asks for a pause of 1m 30s");
}
#[test]
fn an_open_circuit_is_recognized_within_other_errors() {
    let open = || Box::new(ExchangeError::CircuitOpen { wait: Duration::ZERO });
    assert!(open().is_circuit_open());
    let source = ExchangeError::Source { name: "a".to_owned(), error: open() };
    assert!(source.is_circuit_open());
    assert!(ExchangeError::NoQuorum { answered: 0, quorum: 2, last: open() }.is_circuit_open());
    assert!(!ExchangeError::Timeout { after: Duration::ZERO }.is_circuit_open());
}

#[test]
fn a_failure_has_the_price_that_was_rejected() {
    let price = Price::from_pesos(7);
    let reason = PriceRejection::NotCurrent { second: 5, age: 90 };
    let failure = Failure::from(&ExchangeError::Rejected { price, reason });
    assert_eq!(failure.rejected, Some(price));
    assert_eq!(failure.reason, MissedReason::PriceRejected);
    assert_eq!(failure.text, "price rejected: it is from the unix second 5, 90 s ago");
}
