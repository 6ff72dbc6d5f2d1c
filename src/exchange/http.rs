//! How sources are asked over HTTP: bounded in size, and with what can go wrong told apart.

use std::{error::Error, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

use super::ExchangeError;
use crate::clock::Clock;

/// Far more than any ticker is long, once unpacked; what is longer is no ticker.
const MAX_BODY_BYTES: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gets a JSON document.
pub(super) async fn get_json(
    client: &Client,
    url: &Url,
    headers: &HeaderMap,
    clock: &Clock,
) -> Result<Value, ExchangeError> {
    let unreachable = |error| ExchangeError::unreachable(&root_cause(&error));
    let mut response = send(client, url, headers).await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let asks = matches!(status.as_u16(), 429 | 503);
        let retry_after = asks.then(|| retry_after(&response, clock)).flatten();
        return Err(ExchangeError::Status { status: status.as_u16(), retry_after });
    }
    let mut body = Vec::new();
    let bad = |reason: String| ExchangeError::bad_answer(&reason);
    let broken = |error| bad(format!("it broke off: {}", root_cause(&error)));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(bad(format!("longer than {MAX_BODY_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    // Whatever its type is said to be: tickers come as text, as HTML, and with a byte order mark.
    let json = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
    serde_json::from_slice(json).map_err(|error| {
        bad(format!("no JSON ({error}): {:?}", beginning(&String::from_utf8_lossy(json))))
    })
}

/// Sends the request; once more at once if the connection broke before there was an answer: the
/// exchange may have closed a connection that was kept open, just when it was used.
async fn send(client: &Client, url: &Url, headers: &HeaderMap) -> reqwest::Result<Response> {
    let send = || client.get(url.clone()).headers(headers.clone()).send();
    match send().await {
        Err(error) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
            send().await
        }
        answered => answered,
    }
}

/// The first characters of what an exchange sent, enough to recognise it in a log line.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

/// reqwest's own message says only what failed; why stands at the bottom.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// How long the source asks us to stay away: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response, clock: &Clock) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: DateTime<Utc> = DateTime::parse_from_rfc2822(text).ok()?.into();
    u64::try_from(date.timestamp() - clock.unix_seconds()).ok().map(Duration::from_secs)
}
