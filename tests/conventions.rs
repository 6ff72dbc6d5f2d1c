//! What all responses have in common: caching, compression, request ids, CORS, the access log.

use std::{collections::BTreeSet, io::Read as _};

use cotiza::config::Config;
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{
    Api, ApiResponse, Cotiza, Database, SOON, eventually, free_port, get_text, samples,
};

const ENDED: &str = "/api/average-price/?since=1700000000&until=1700003600";

pub async fn api_with(change: impl FnOnce(&mut Config)) -> Api {
    let database = Database::new().await;
    database.record(&samples(1_700_000_000).every(10).count(100).price("1.5")).await;
    let mut config = Config::default();
    change(&mut config);
    Api::with_config(&database, &config).await
}

pub async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
    api.request(Method::GET, path, headers).await
}

pub fn header<'a>(answer: &'a ApiResponse, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns the names of the request headers that the response depends on.
fn vary(answer: &ApiResponse) -> Vec<String> {
    let lines = answer.headers.get_all("vary").iter().map(|line| line.to_str().unwrap());
    lines.flat_map(|line| line.split(',')).map(|name| name.trim().to_lowercase()).collect()
}

/// Sends a raw request and reads the whole response.
pub async fn raw(api: &Api, request: &str) -> Vec<u8> {
    let address = api.origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_client_with_the_current_response_gets_304() {
    let api = api_with(|_| {}).await;
    let first = api.get(ENDED).await;
    let tag = header(&first, "etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    for known in [tag.as_str(), "*", &format!("\"other\", {tag}"), tag.trim_start_matches("W/")] {
        let again = get(&api, ENDED, &[("if-none-match", known)]).await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{known}");
        assert_eq!(header(&again, "etag"), tag);
    }
    // A header with a list may be sent as several lines.
    let lines = [("if-none-match", "\"other\""), ("if-none-match", tag.as_str())];
    assert_eq!(get(&api, ENDED, &lines).await.status, 304);
}

#[tokio::test]
async fn a_client_with_another_response_gets_the_current_one() {
    let api = api_with(|_| {}).await;
    get(&api, ENDED, &[("if-none-match", "\"other\"")]).await.ok();
    let tag = header(&api.get(ENDED).await, "etag").to_owned();
    let other = api.get("/api/average-price/?since=1700000000&until=1700000005").await;
    assert_ne!(header(&other, "etag"), tag);
}

#[tokio::test]
async fn only_responses_about_the_past_may_be_cached() {
    let api = api_with(|_| {}).await;
    for (path, rule) in [
        (ENDED, "public, max-age=300"),
        ("/api/ticker-list/?until=1700003600&format=csv", "public, max-age=300"),
        ("/api/candles/?interval=1d&until=2023-11-15", "public, max-age=300"),
        ("/api//candles/?until=2023-11-15", "public, max-age=300"),
        ("/api/candles/?interval=1200M&until=2023-11-15", "no-cache"),
        ("/api/chart.svg?since=2023-11-14&until=2023-11-15", "no-cache"),
        ("/api/v3/ping?until=2020-01-01", "no-cache"),
        ("/api/v3/simple/price?ids=bitcoin&vs_currencies=ars&until=2020-01-01", "no-cache"),
        ("/api/btc/ars/0.1?timestamp=1700000000", "no-cache"),
        ("/api/average-price/?since=-1h&until=now", "no-cache"),
        ("/api/ticker-list/", "no-cache"),
        ("/api/latest/", "no-cache"),
        ("/docs", "no-cache"),
        ("/health/ready", "no-store"),
        ("/metrics", "no-store"),
        ("//health/live", "no-store"),
        ("/api//stream/?since=noon", "no-store"),
        ("/api/average-price/?since=5", "no-store"),
        ("/api/nothing", "no-store"),
    ] {
        assert_eq!(header(&api.get(path).await, "cache-control"), rule, "{path}");
    }
}

#[tokio::test]
async fn vary_contains_accept_if_it_selects_the_format() {
    let api = api_with(|_| {}).await;
    for path in ["/api/ticker-list/", "/api/candles/", "/api/gaps/", "//api/gaps//"] {
        let until = format!("{path}?until=1700003600");
        for accept in ["application/json", "text/csv"] {
            let answer = get(&api, &until, &[("accept", accept)]).await;
            assert!(header(&answer, "content-type").starts_with(accept), "{path}");
            assert!(vary(&answer).contains(&"accept".to_owned()), "{path} {accept}");
        }
        let tag = api.get(&until).await.headers["etag"].to_str().unwrap().to_owned();
        let again = get(&api, &until, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status, 304, "{path}");
        assert!(vary(&again).contains(&"accept".to_owned()), "{path}: {:?}", again.headers);
        let chosen = get(&api, &format!("{until}&format=csv"), &[("accept", "x/y")]).await;
        assert!(!vary(&chosen).contains(&"accept".to_owned()), "{path}");
    }
    assert!(!vary(&api.get(ENDED).await).contains(&"accept".to_owned()));
}

#[tokio::test]
async fn repeated_slashes_in_a_path_are_ignored() {
    let api = api_with(|config| config.api.requests_per_second = 1000).await;
    let problem = api.get("/api//ticker-list/?pagesize=5").await.problem(400);
    assert_eq!(problem["parameter"], "pagesize");
    let page = api.get("//api//ticker-list//?page_size=5").await.ok();
    assert_eq!(page["count"], 100);
    api.get("//health//live//").await.ok();
    api.get("/api//nothing").await.problem(404);
}

const LARGE: &str = "/api/ticker-list/?page_size=100";

#[tokio::test]
async fn large_responses_are_compressed_for_clients_that_accept_it() {
    let api = api_with(|_| {}).await;
    let plain = api.get(LARGE).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    assert!(vary(&plain).contains(&"accept-encoding".to_owned()));
    let packed = get(&api, LARGE, &[("accept-encoding", "zstd, br")]).await;
    assert_eq!(header(&packed, "content-encoding"), "zstd");
    let small = get(&api, ENDED, &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&small, "content-encoding"), "");
}

#[tokio::test]
async fn a_compressed_response_has_the_content_of_the_plain_one() {
    let api = api_with(|_| {}).await;
    let plain = api.get(LARGE).await;
    // HTTP/1.0 has no chunked encoding.
    let packed = raw(&api, &format!("GET {LARGE} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")).await;
    let (head, body) = packed.split_at(packed.windows(4).position(|it| it == b"\r\n\r\n").unwrap());
    assert!(String::from_utf8_lossy(head).contains("content-encoding: gzip"));
    assert!(body.len() < plain.text.len() / 3);
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&body[4..]).read_to_string(&mut text).unwrap();
    // The links contain the host, which HTTP/1.0 does not send.
    let results = |text: &str| text.split_once("\"results\"").unwrap().1.to_owned();
    assert_eq!(results(&text), results(&plain.text));
}

#[tokio::test]
async fn a_response_has_the_id_of_its_request() {
    let api = api_with(|_| {}).await;
    let mine = get(&api, ENDED, &[("x-request-id", "Mine-1.a_b")]).await;
    assert_eq!(header(&mine, "x-request-id"), "Mine-1.a_b");
}

#[tokio::test]
async fn a_request_with_an_unusable_id_gets_a_new_one() {
    let api = api_with(|_| {}).await;
    let long = "x".repeat(65);
    let mut ids = BTreeSet::new();
    for unusable in ["", "a b", "a\"b", &long] {
        let answer = get(&api, "/api/nothing", &[("x-request-id", unusable)]).await;
        ids.insert(header(&answer, "x-request-id").to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    assert_eq!(ids.len(), 4, "the ids differ");
}

#[tokio::test]
async fn pages_of_any_origin_may_read_responses() {
    let api = api_with(|_| {}).await;
    let answer = get(&api, ENDED, &[("origin", "https://any.example")]).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    for name in ["etag", "link", "retry-after", "cotiza-known-until", "x-request-id"] {
        assert!(header(&answer, "access-control-expose-headers").contains(name), "{name}");
    }
    let wrong = get(&api, "/api/nothing", &[("origin", "https://any.example")]).await;
    assert_eq!(header(&wrong, "access-control-allow-origin"), "*", "errors can be read, too");
}

#[tokio::test]
async fn preflight_requests_are_answered() {
    let api = api_with(|_| {}).await;
    let headers = [
        ("origin", "https://any.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-request-id"),
    ];
    let preflight = api.request(Method::OPTIONS, ENDED, &headers).await;
    assert!(preflight.status.is_success());
    assert!(header(&preflight, "access-control-allow-methods").contains("GET"));
    assert_eq!(header(&preflight, "access-control-allow-headers"), "*");
    assert_eq!(header(&preflight, "access-control-max-age"), "86400");
}

#[tokio::test]
async fn the_allowed_origins_can_be_configured() {
    let origins = vec!["https://mine.example".to_owned(), "http://localhost:3000".to_owned()];
    let api = api_with(|config| config.api.cors_origins = origins).await;
    for (origin, allowed) in [
        ("https://mine.example", "https://mine.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://other.example", ""),
        ("null", ""),
    ] {
        let answer = get(&api, ENDED, &[("origin", origin)]).await;
        answer.ok();
        assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{origin}");
        assert!(header(&answer, "vary").contains("origin"));
    }
    let none = api_with(|config| config.api.cors_origins = Vec::new()).await;
    let answer = get(&none, ENDED, &[("origin", "https://mine.example")]).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn options_and_head_are_answered() {
    let api = api_with(|_| {}).await;
    let options = api.request(Method::OPTIONS, ENDED, &[]).await;
    assert_eq!((options.status.as_u16(), header(&options, "allow")), (204, "GET, HEAD, OPTIONS"));
    let (head, full) = (api.request(Method::HEAD, ENDED, &[]).await, api.get(ENDED).await);
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    for name in ["content-length", "content-type", "etag", "cache-control"] {
        assert_eq!(header(&head, name), header(&full, name), "{name}");
    }
}

#[tokio::test]
async fn responses_have_security_headers() {
    let api = api_with(|_| {}).await;
    for path in [ENDED, "/docs", "/api/nothing", "/metrics"] {
        assert_eq!(header(&api.get(path).await, "x-content-type-options"), "nosniff", "{path}");
    }
    let page = api.get("/docs").await;
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn each_request_is_logged_if_configured() {
    let database = Database::new().await;
    let listen = format!("127.0.0.1:{}", free_port());
    let api = Cotiza::start(
        &["api"],
        &[
            ("REDIS_URL", &database.url),
            ("COTIZA__API__LISTEN", &listen),
            ("COTIZA__LOG__REQUESTS", "true"),
        ],
    );
    let url = format!("http://{listen}/api/ticker-list/?page_size=5");
    eventually(SOON, "the API answers", || async { get_text(&url).await.is_some() }).await;
    let line = api.wait_for_line("method=GET").await;
    for part in [
        "method=GET",
        "url=\"/api/ticker-list/?page_size=5\"",
        "status=",
        "client=127.0.0.1",
        "id=",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
