//! Requests to sources over HTTP: answers have a maximum size, and the kinds of failure are distinguished.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::Value;
use url::Url;

use super::{AnswerError, ExchangeError};
use crate::clock::Clock;

/// The maximum size of an answer after decompression. Tickers are far smaller.
const MAX_BODY_BYTES: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Requests a JSON document.
pub(super) async fn get_json(
    client: &Client,
    url: &Url,
    headers: &HeaderMap,
    clock: &Clock,
) -> Result<Value, ExchangeError> {
    let mut response = send(client, url, headers)
        .await
        .map_err(|error| ExchangeError::Unreachable(Arc::new(error)))?;
    let status = response.status();
    if !status.is_success() {
        let may_ask_for_pause = matches!(status.as_u16(), 429 | 503);
        let retry_after = may_ask_for_pause.then(|| retry_after(&response, clock)).flatten();
        return Err(ExchangeError::Status { status: status.as_u16(), retry_after });
    }
    let mut body = Vec::new();
    let incomplete = |error| AnswerError::Incomplete(Arc::new(error));
    while let Some(chunk) = response.chunk().await.map_err(incomplete)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(AnswerError::TooLong(MAX_BODY_BYTES).into());
        }
        body.extend_from_slice(&chunk);
    }
    // The content type is ignored: some tickers are sent as text or HTML, or with a byte order mark.
    let json = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
    serde_json::from_slice(json).map_err(|error| {
        let beginning = beginning(&String::from_utf8_lossy(json));
        AnswerError::NotJson { error: Arc::new(error), beginning }.into()
    })
}

/// Sends the request, and sends it again immediately if the connection broke before an answer: the
/// exchange may have closed an idle connection at the moment at which it was used.
async fn send(client: &Client, url: &Url, headers: &HeaderMap) -> reqwest::Result<Response> {
    let send = || client.get(url.clone()).headers(headers.clone()).send();
    match send().await {
        Err(error) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
            send().await
        }
        result => result,
    }
}

/// The first characters of an answer, enough to recognise it in a log line.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The pause that the source asks for: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response, clock: &Clock) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: DateTime<Utc> = DateTime::parse_from_rfc2822(text).ok()?.into();
    u64::try_from(date.timestamp() - clock.unix_seconds()).ok().map(Duration::from_secs)
}
