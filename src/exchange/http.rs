//! How sources are asked over HTTP: bounded in time, by the client, and in size.

use std::{error::Error, time::Duration};

use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::ExchangeError;

/// Far more than any ticker is long; what is longer is no ticker.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Gets a JSON document.
pub(super) async fn get_json(
    client: &Client,
    url: &Url,
    source_name: &'static str,
    timeout: Duration,
) -> Result<Value, ExchangeError> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            ExchangeError::Timeout { source_name, after: timeout }
        } else {
            ExchangeError::Unreachable { source_name, reason: root_cause(&error) }
        }
    };
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(ExchangeError::Status { source_name, status: status.as_u16() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            let reason = format!("longer than {MAX_BODY_BYTES} bytes");
            return Err(ExchangeError::BadAnswer { source_name, reason });
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| ExchangeError::BadAnswer {
        source_name,
        reason: format!("no JSON ({error}): {:?}", beginning(&String::from_utf8_lossy(&body))),
    })
}

/// The first characters of what an exchange sent, enough to recognise it in a log line.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
}

/// reqwest's own message says only that sending failed; what helps stands at the bottom.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
