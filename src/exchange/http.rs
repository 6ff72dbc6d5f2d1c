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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::http_client;

    /// A server on this machine.
    struct Server {
        listener: TcpListener,
        url: Url,
    }

    impl Server {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            Self { listener, url }
        }

        /// Answers each connection with the next of these texts and closes it; returns the URL.
        async fn answering<const N: usize>(answers: [String; N]) -> Url {
            let Self { listener, url } = Self::new().await;
            tokio::spawn(async move {
                for answer in answers {
                    let mut connection = listener.accept().await.unwrap().0;
                    read_request(&mut connection).await;
                    connection.write_all(answer.as_bytes()).await.unwrap();
                    connection.shutdown().await.unwrap();
                }
            });
            url
        }
    }

    async fn get(url: &Url) -> Result<Value, ExchangeError> {
        get_within(url, Duration::from_secs(20)).await
    }

    async fn get_within(url: &Url, timeout: Duration) -> Result<Value, ExchangeError> {
        let client = http_client::local(timeout).unwrap();
        get_json(&client, url, &HeaderMap::new(), &Clock::machine()).await
    }

    async fn read_request(connection: &mut TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.unwrap());
        }
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    /// Requests an answer with this status and `Retry-After`; returns the pause that it asks for.
    async fn pause(status: u16, retry_after: &str) -> Option<Duration> {
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n");
        let answer = format!("{head}retry-after: {retry_after}\r\n\r\n");
        let error = get(&Server::answering([answer]).await).await.unwrap_err();
        let ExchangeError::Status { status: sent, retry_after } = error else { panic!("{error}") };
        assert_eq!(sent, status);
        retry_after
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_ignored() {
        let url = Server::answering([ok("\u{feff}{\"ask\": 1}")]).await;
        assert_eq!(get(&url).await.unwrap(), json!({"ask": 1}));
    }

    #[tokio::test]
    async fn an_answer_has_at_most_one_mebibyte() {
        let text = |length: usize| ok(&format!("\"{}\"", "x".repeat(length - 2)));
        let url = Server::answering([text(MAX_BODY_BYTES), text(MAX_BODY_BYTES + 1)]).await;
        let longest = get(&url).await.unwrap();
        assert_eq!(longest.as_str().map(str::len), Some(MAX_BODY_BYTES - 2));
        let error = get(&url).await.unwrap_err();
        assert_eq!(error.to_string(), "bad answer: longer than 1048576 bytes");
    }

    #[tokio::test]
    async fn a_request_is_sent_again_if_the_connection_broke_before_an_answer() {
        let url = Server::answering([String::new(), ok("1")]).await;
        assert_eq!(get(&url).await.unwrap(), json!(1));
    }

    #[tokio::test]
    async fn a_request_is_not_sent_again_after_a_timeout() {
        let Server { listener, url } = Server::new().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok(connection) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                open.push(connection);
            }
        });
        let error = get_within(&url, Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Unreachable(_)), "{error}");
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_overloaded_source_may_ask_for_a_pause() {
        assert_eq!(pause(429, "7").await, Some(Duration::from_secs(7)));
        assert_eq!(pause(503, "7").await, Some(Duration::from_secs(7)));
        assert_eq!(pause(404, "7").await, None);
        assert_eq!(pause(429, "soon").await, None);
    }

    #[tokio::test]
    async fn a_pause_may_end_at_a_date() {
        assert_eq!(pause(429, "Fri, 31 May 2024 19:47:44 GMT").await, None, "it is over");
        let (end, clock) = (32_503_680_000, Clock::machine());
        let latest = clock.until(end);
        let pause = pause(429, "Wed, 01 Jan 3000 00:00:00 GMT").await.unwrap();
        // The clock counts whole seconds.
        let second = Duration::from_secs(1);
        assert!(clock.until(end) <= pause && pause <= latest + second, "{pause:?}");
    }
}
