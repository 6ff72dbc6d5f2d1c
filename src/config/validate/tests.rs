//! Tests of the limits of values: the last value that is allowed, and the first one that is not.

use std::collections::HashMap;

use super::*;

/// Checks the defaults with these values of some keys; returns the message of the error.
fn with(values: &[(&'static str, &str)]) -> Result<(), String> {
    let flags = values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let config = Config::from_layers(None, &HashMap::new(), &flags);
    config.map(|_| ()).map_err(|error| error.to_string())
}

#[track_caller]
fn allowed(key: &'static str, values: &[&str]) {
    for value in values {
        assert_eq!(with(&[(key, value)]), Ok(()), "{value}");
    }
}

#[track_caller]
fn refused(key: &'static str, values: &[&str], reason: &str) {
    for value in values {
        let message = with(&[(key, value)]).expect_err(value);
        assert!(message.starts_with(&format!("{key} = ")), "{message}");
        assert!(message.ends_with(reason), "{message}");
    }
}

#[test]
fn prices_are_kept_for_at_least_a_day() {
    allowed("prices.keep", &["forever", "1day"]);
    refused("prices.keep", &["23h 59m 59s"], "a duration of at least 1day");
}

#[test]
fn answers_may_be_stale_for_a_month() {
    allowed("api.stale_for", &["0s", "30days"]);
    refused("api.stale_for", &["30days 1s"], "give a duration from 0s to 30days");
}

#[test]
fn a_price_may_be_current_for_a_month() {
    allowed("api.stale_after", &["auto", "1s", "30days"]);
    refused("api.stale_after", &["0s", "30days 1s"], "give a duration from 1s to 30days");
}

#[test]
fn a_url_may_have_a_kilobyte_to_a_megabyte() {
    allowed("api.max_url", &["1kB", "1MB"]);
    refused("api.max_url", &["999B", "1001kB"], "give a size from 1.0 kB to 1.0 MB");
}

#[test]
fn a_cors_origin_is_written_as_browsers_send_it() {
    allowed("api.cors_origins", &["*", "https://example.org", "http://localhost:3000"]);
    let others = ["https://example.org/", "https://Example.org", "ftp://example.org", "null", "x"];
    refused("api.cors_origins", &others, "such as https://example.org");
}

#[test]
fn the_public_url_has_only_a_scheme_and_a_host() {
    allowed("api.public_url", &["", "https://example.org", "https://example.org/", "http://a:80"]);
    let others = [
        "ftp://example.org",
        "https://example.org/a",
        "https://example.org?a=1",
        "https://example.org#a",
        "https://me@example.org",
        "https://:secret@example.org",
        "mailto:a@example.org",
        "example.org",
    ];
    refused("api.public_url", &others, "such as https://prices.example.org");
}

#[test]
fn a_median_needs_as_many_sources_as_its_quorum() {
    let quorum = |quorum| with(&[("sources.policy", "median"), ("sources.quorum", quorum)]);
    assert_eq!(quorum("1"), Ok(()));
    let message = quorum("2").unwrap_err();
    assert!(message.starts_with("sources.quorum = 2: only 1 sources are enabled"), "{message}");
}

#[test]
fn the_lowest_price_is_at_most_the_highest_one() {
    let bounds = |lowest| with(&[("sources.lowest", lowest), ("sources.highest", "7")]);
    assert_eq!(bounds("7"), Ok(()));
    let message = bounds("8").unwrap_err();
    assert_eq!(message, "sources.lowest = 8: give at most the value of sources.highest");
}

#[test]
fn a_header_has_a_name_and_a_value() {
    allowed("sources.buenbit.headers", &["", "Key: secret", "Key:"]);
    let others = ["Key", "A key: secret", "Key: sec\u{1}ret"];
    refused("sources.buenbit.headers", &others, "give each header as \"Name: value\"");
}
