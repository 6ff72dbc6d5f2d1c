//! How sources are asked over HTTP: bounded in size, and with what can go wrong told apart.

use std::{error::Error, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

use super::ExchangeError;
use crate::clock::Clock;

/// Far more than any ticker is long, once unpacked; what is longer is no ticker.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Gets a JSON document.
pub(super) async fn get_json(
    client: &Client,
    url: &Url,
    headers: &HeaderMap,
    clock: &Clock,
) -> Result<Value, ExchangeError> {
    let request = client.get(url.clone()).headers(headers.clone());
    let unreachable = |error| ExchangeError::Unreachable { reason: root_cause(&error) };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let asks = matches!(status.as_u16(), 429 | 503);
        let retry_after = asks.then(|| retry_after(&response, clock)).flatten();
        return Err(ExchangeError::Status { status: status.as_u16(), retry_after });
    }
    if let Some(kind) = not_json(&response) {
        return Err(bad(format!("its type is {kind:?}, not JSON")));
    }
    let mut body = Vec::new();
    let broken = |error| bad(format!("it broke off: {}", root_cause(&error)));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(bad(format!("longer than {MAX_BODY_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| {
        bad(format!("no JSON ({error}): {:?}", beginning(&String::from_utf8_lossy(&body))))
    })
}

/// The first characters of what an exchange sent, enough to recognise it in a log line.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

fn bad(reason: String) -> ExchangeError {
    ExchangeError::BadAnswer { reason }
}

/// reqwest's own message says only what failed; why stands at the bottom.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The type of an answer that says that it is something else than JSON.
fn not_json(response: &Response) -> Option<String> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    // JSON in a file is often served as plain text.
    let fine = kind.contains("json") || kind.starts_with("text/plain");
    (!fine).then(|| beginning(kind))
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
