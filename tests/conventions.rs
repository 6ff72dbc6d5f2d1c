//! What all responses have in common: caching, compression, request ids, CORS, proxies, the access log.

use std::io::Read as _;

use cotiza::config::{Config, Networks};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Api, ApiResponse, Cotiza, Database, SOON, eventually, get_text};

const ENDED: &str = "/api/average-price/?since=1700000000&until=1700003600";

async fn api_with(change: impl FnOnce(&mut Config)) -> Api {
    let database = Database::new().await;
    let samples: Vec<(i64, &str)> = (0..100).map(|n| (1_700_000_000 + 10 * n, "1.5")).collect();
    database.record(&samples).await;
    let mut config = Config::default();
    change(&mut config);
    Api::with_config(&database, &config).await
}

async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
    api.request(Method::GET, path, headers).await
}

fn header<'a>(answer: &'a ApiResponse, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns the names of the request headers that the response depends on.
fn vary(answer: &ApiResponse) -> Vec<String> {
    let lines = answer.headers.get_all("vary").iter().map(|line| line.to_str().unwrap());
    lines.flat_map(|line| line.split(',')).map(|name| name.trim().to_lowercase()).collect()
}

/// Sends a raw request and reads the whole response.
async fn raw(api: &Api, request: &str) -> Vec<u8> {
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
    get(&api, ENDED, &[("if-none-match", "\"other\"")]).await.ok();
    // A header with a list may be sent as several lines.
    let lines = [("if-none-match", "\"other\""), ("if-none-match", tag.as_str())];
    assert_eq!(get(&api, ENDED, &lines).await.status, 304);
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

#[tokio::test]
async fn large_responses_are_compressed_for_clients_that_accept_it() {
    let api = api_with(|_| {}).await;
    let path = "/api/ticker-list/?page_size=100";
    let plain = api.get(path).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    assert!(vary(&plain).contains(&"accept-encoding".to_owned()));
    // HTTP/1.0 has no chunked encoding.
    let packed = raw(&api, &format!("GET {path} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")).await;
    let (head, body) = packed.split_at(packed.windows(4).position(|it| it == b"\r\n\r\n").unwrap());
    assert!(String::from_utf8_lossy(head).contains("content-encoding: gzip"));
    assert!(body.len() < plain.text.len() / 3);
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&body[4..]).read_to_string(&mut text).unwrap();
    let results = |text: &str| text.split_once("\"results\"").unwrap().1.to_owned();
    assert_eq!(results(&text), results(&plain.text));
    let packed = get(&api, path, &[("accept-encoding", "zstd, br")]).await;
    assert_eq!(header(&packed, "content-encoding"), "zstd");
    let small = get(&api, ENDED, &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&small, "content-encoding"), "");
}

#[tokio::test]
async fn each_response_has_the_id_of_its_request() {
    let api = api_with(|_| {}).await;
    let mine = get(&api, ENDED, &[("x-request-id", "Mine-1.a_b")]).await;
    assert_eq!(header(&mine, "x-request-id"), "Mine-1.a_b");
    let long = "x".repeat(65);
    let mut ids = Vec::new();
    for unusable in ["", "a b", "a\"b", &long] {
        let answer = get(&api, "/api/nothing", &[("x-request-id", unusable)]).await;
        ids.push(header(&answer, "x-request-id").to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    ids.dedup();
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
async fn lists_have_their_links_in_the_link_header_too() {
    let api = api_with(|_| {}).await;
    let answer = api.get("/api/ticker-list/?page=2&page_size=30").await;
    let link = |page: &str| format!("<{}/api/ticker-list/?{page}page_size=30>", api.origin);
    let expected = format!(
        "{}; rel=\"next\", {}; rel=\"prev\", {}; rel=\"first\", {}; rel=\"last\"",
        link("page=3&"),
        link(""),
        link(""),
        link("page=4&")
    );
    assert_eq!(header(&answer, "link"), expected);
}

/// Starts an API that trusts proxies on loopback.
async fn behind_a_proxy() -> Api {
    let networks = Networks(vec!["127.0.0.0/8".parse().unwrap()]);
    api_with(|config| config.api.trusted_proxies = networks).await
}

/// Checks that links begin with the given URL.
async fn links_begin(api: &Api, headers: &[(&str, &str)], start: &str) {
    let page = get(api, "/api/ticker-list/", headers).await.ok();
    assert_eq!(page["next"], format!("{start}/api/ticker-list/?page=2"), "{headers:?}");
}

#[tokio::test]
async fn links_are_correct_behind_proxies_that_set_forwarded() {
    let api = behind_a_proxy().await;
    for (elements, start) in [
        (&["for=1.2.3.4;proto=https;host=\"a.example:8443\""][..], "https://a.example:8443"),
        // The outer proxy, to which the client connects, adds the first element.
        (
            &["for=1.2.3.4;proto=https;host=a.example, for=127.0.0.2;proto=http;host=inner"],
            "https://a.example",
        ),
        // The first element was sent by the client.
        (
            &["for=127.0.0.3;host=evil.example", "for=1.2.3.4;proto=https;host=a.example"],
            "https://a.example",
        ),
    ] {
        let headers: Vec<(&str, &str)> = elements.iter().map(|it| ("forwarded", *it)).collect();
        links_begin(&api, &headers, start).await;
    }
}

#[tokio::test]
async fn links_are_correct_behind_proxies_that_set_x_forwarded() {
    let api = behind_a_proxy().await;
    let (scheme, host) = ("x-forwarded-proto", "x-forwarded-host");
    let (port, prefix) = ("x-forwarded-port", "x-forwarded-prefix");
    let alone = [(host, "b.example"), (port, "8443")];
    links_begin(&api, &alone, "http://b.example:8443").await;
    let usual = [(scheme, "https"), (host, "b.example"), (port, "443"), (prefix, "/prices/")];
    links_begin(&api, &usual, "https://b.example/prices").await;
    // Values that the client sent come first.
    let lists = [
        (scheme, "http, https"),
        (host, "evil.example,b.example"),
        (port, "99,8443"),
        (prefix, "/evil, /prices"),
    ];
    links_begin(&api, &lists, "https://b.example:8443/prices").await;
    links_begin(&api, &[(host, "evil.example"), (host, "b.example")], "http://b.example").await;
}

#[tokio::test]
async fn x_forwarded_headers_take_precedence_over_forwarded() {
    let api = behind_a_proxy().await;
    let forged = ("forwarded", "for=1.2.3.4;proto=https;host=evil.example");
    let client = ("x-forwarded-for", "1.2.3.4");
    let host = ("x-forwarded-host", "b.example");
    links_begin(&api, &[forged, client, host], "http://b.example").await;
    links_begin(&api, &[forged, host], "http://b.example").await;
    links_begin(&api, &[forged, client], &api.origin).await;
}

#[tokio::test]
async fn an_unsafe_prefix_is_ignored() {
    let api = behind_a_proxy().await;
    for (prefix, path) in [
        ("/a/b.c/", "/a/b.c"),
        ("/", ""),
        ("//evil.example", ""),
        ("/a//b", ""),
        ("/a//", ""),
        ("/..", ""),
        ("/a/../b", ""),
        ("/a/./b", ""),
        ("/a?b", ""),
        ("a", ""),
    ] {
        let headers = [("x-forwarded-host", "b.example"), ("x-forwarded-prefix", prefix)];
        links_begin(&api, &headers, &format!("http://b.example{path}")).await;
    }
}

#[tokio::test]
async fn links_use_the_host_of_the_request_in_each_of_its_forms() {
    let api = api_with(|_| {}).await;
    let own = format!("{}/api/ticker-list/?page=2", api.origin);
    let text = |answer: Vec<u8>| String::from_utf8(answer).unwrap();
    let old = text(raw(&api, "GET /api/ticker-list/ HTTP/1.0\r\n\r\n").await);
    assert!(old.contains(&own), "{old}");
    let absolute = "GET http://c.example/api/ticker-list/ HTTP/1.1\r\nHost: d.example\r\n\
                    Connection: close\r\n\r\n";
    let absolute = text(raw(&api, absolute).await);
    assert!(absolute.contains("\"http://c.example/api/ticker-list/?page=2\""), "{absolute}");
    let address = api.origin.strip_prefix("http://").unwrap();
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("http://e.example/api/ticker-list/");
    let request = request.body(Empty::<hyper::body::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("\"http://e.example/api/ticker-list/?page=2\""), "{text}");
}

#[tokio::test]
async fn each_request_is_logged_if_configured() {
    let database = Database::new().await;
    let port = crate::harness::free_port();
    let listen = format!("127.0.0.1:{port}");
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
