//! Clients that are slow or silent, that are too many or that send too much: they are disconnected or
//! refused, and other clients are served.

use std::{net::IpAddr, time::Duration};

use cotiza::config::{Config, Networks};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::harness::{Api, Cotiza, Database, SOON, eventually};

const GET: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";

/// Starts an API with short timeouts.
async fn with_short_timeouts(change: impl FnOnce(&mut Config)) -> Api {
    let mut config = Config::default();
    config.api.header_timeout = Duration::from_secs(1);
    config.api.idle_timeout = Duration::from_secs(1);
    config.api.write_timeout = Duration::from_secs(1);
    change(&mut config);
    Api::with_config(&Database::new().await, &config).await
}

async fn connect(api: &Api) -> TcpStream {
    TcpStream::connect(api.origin.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Reads everything until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset closes the connection, too.
    let _read =
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the connection is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request and reads the head and the body of the response.
async fn send(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 2000];
    let length = timeout(SOON, stream.read(&mut answer)).await.expect("a response").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_no_request_or_half_of_one_is_disconnected() {
    let api = with_short_timeouts(|_| {}).await;
    let started = Instant::now();
    let mut silent = connect(&api).await;
    let mut half = connect(&api).await;
    half.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let mut idle = connect(&api).await;
    assert!(send(&mut idle, GET).await.starts_with("HTTP/1.1 200"));
    for stream in [&mut silent, &mut half, &mut idle] {
        assert_eq!(rest(stream).await, "");
    }
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_secs(1), "too early: {elapsed:?}");
    api.get("/health/live").await.ok();
}

#[tokio::test]
async fn a_client_that_sends_single_bytes_slowly_is_disconnected() {
    let api = with_short_timeouts(|_| {}).await;
    let mut drip = connect(&api).await;
    drip.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let dripping = async {
        while drip.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, dripping).await.expect("the client is disconnected");
}

#[tokio::test]
async fn a_client_that_reads_nothing_or_only_single_bytes_is_disconnected() {
    let api = with_short_timeouts(|_| {}).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = api.origin.strip_prefix("http://").unwrap().parse().unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        streams.push(stream);
    }
    let [mut unread, mut slow] = <[TcpStream; 2]>::try_from(streams).unwrap();
    let slowly = async {
        let mut read = 0;
        while let Ok(Ok(length @ 1..)) = timeout(SOON, slow.read(&mut [0; 10])).await {
            read += length;
            sleep(Duration::from_millis(20)).await;
        }
        read
    };
    let read = timeout(2 * SOON, slowly).await.expect("the client is disconnected");
    assert!(read < 1_000_000, "it has read {read} bytes");
    assert!(rest(&mut unread).await.len() < 1_000_000);
}

#[tokio::test]
async fn a_connection_above_the_limit_closes_the_longest_idle_one() {
    let api = with_short_timeouts(|config| {
        config.api.max_connections = 3;
        config.api.idle_timeout = Duration::from_mins(1);
        config.api.header_timeout = Duration::from_mins(1);
    })
    .await;
    let (mut first, mut second) = (connect(&api).await, connect(&api).await);
    sleep(Duration::from_millis(50)).await;
    assert!(send(&mut second, GET).await.contains("200 OK"));
    let mut others = Vec::new();
    for _ in 0..6 {
        let mut other = connect(&api).await;
        assert!(send(&mut other, GET).await.contains("200 OK"));
        others.push(other);
        assert!(
            send(&mut second, GET).await.contains("200 OK"),
            "the active connection was closed"
        );
    }
    assert_eq!(rest(&mut first).await, "");
}

#[tokio::test]
async fn connections_are_limited_per_address_except_for_trusted_proxies() {
    for (trusted, closed) in [(vec![], true), (vec!["127.0.0.0/8".parse().unwrap()], false)] {
        let api = with_short_timeouts(|config| {
            config.api.max_connections_per_address = 3;
            config.api.idle_timeout = Duration::from_mins(1);
            config.api.header_timeout = Duration::from_mins(1);
            config.api.trusted_proxies = Networks(trusted);
        })
        .await;
        let mut first = connect(&api).await;
        let mut others = Vec::new();
        for _ in 0..4 {
            let mut other = connect(&api).await;
            assert!(send(&mut other, GET).await.contains("200 OK"));
            others.push(other);
        }
        let disconnected = timeout(Duration::from_millis(300), rest(&mut first)).await;
        assert_eq!(disconnected.is_ok(), closed);
    }
}

#[tokio::test]
async fn an_api_with_few_file_descriptors_serves_while_idle_connections_are_open() {
    let database = Database::new().await;
    let environment = [("REDIS_URL", database.url.as_str())];
    let api = Cotiza::with_files(100, &["api", "--listen", "127.0.0.1:0"], &environment);
    api.wait_for_line("fewer connections than api.max_connections").await;
    let line = api.wait_for_line("the API listens on ").await;
    let address = line.rsplit(' ').next().unwrap();
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(send(&mut stream, GET).await.contains("200 OK"));
    }
}

#[tokio::test]
async fn too_large_urls_and_headers_are_refused() {
    let api = with_short_timeouts(|_| {}).await;
    let long = api.get(&format!("/api/latest/?x={}", "a".repeat(9000))).await;
    assert!(long.problem(414)["detail"].as_str().unwrap().contains("8000"));
    let header = "a".repeat(20_000);
    let large = api.request(Method::GET, "/health/live", &[("x-a", &header)]).await;
    assert_eq!(large.status, 431);
    let mut endless = connect(&api).await;
    endless.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let sending = async {
        let mut sent = 0;
        while endless.write_all(b"X-Aaaa: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await.is_ok() {
            sent += 40;
        }
        sent
    };
    assert!(timeout(SOON, sending).await.expect("the client is disconnected") < 50_000_000);
}

#[tokio::test]
async fn a_request_must_have_one_host_header() {
    let api = with_short_timeouts(|_| {}).await;
    for (request, status) in [
        ("GET /health/live HTTP/1.1\r\n\r\n", "400"),
        ("GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("GET /health/live HTTP/1.0\r\n\r\n", "200"),
    ] {
        let answer = send(&mut connect(&api).await, request).await;
        assert!(answer.split(' ').nth(1) == Some(status), "{request}: {answer}");
        assert!(status == "200" || answer.contains("Host headers; send exactly one"), "{answer}");
    }
}

#[tokio::test]
async fn requests_above_the_limit_of_a_client_address_get_429() {
    let api = with_short_timeouts(|config| {
        config.api.requests_per_second = 5;
        config.api.trusted_proxies = Networks(vec![IpAddr::from([127, 0, 0, 1]).into()]);
    })
    .await;
    let request = async |client: &str| {
        let headers = [("x-forwarded-for", client)];
        api.request(Method::GET, "/api/ticker-list/", &headers).await
    };
    let mut refused = None;
    for _ in 0..20 {
        // The client may send this header itself; only the address that the proxy appends counts.
        let answer = request("9.9.9.9, 10.1.2.3").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a request is refused");
    // A client cannot change its address with a header that the proxy forwards.
    let mut forged = None;
    for n in 0..20 {
        let forwarded = format!("for=8.8.8.{n}");
        let headers = [("forwarded", forwarded.as_str()), ("x-forwarded-for", "10.1.2.5")];
        let answer = api.request(Method::GET, "/api/ticker-list/", &headers).await;
        forged = forged.or((answer.status == 429).then_some(n));
    }
    assert!(forged.is_some(), "none of 20 requests was refused at a limit of 5 per second");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    refused.problem(429);
    request("10.1.2.4").await.ok();
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for _ in 0..10 {
            let headers = [("x-forwarded-for", "10.1.2.3")];
            let answer = api.request(Method::GET, path, &headers).await;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    eventually(SOON, "the client is served again", || async {
        request("10.1.2.3").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn links_begin_with_the_public_url() {
    let database = Database::new().await;
    database.record(&[(1_700_000_000, "1.5"), (1_700_000_010, "2.5")]).await;
    let mut config = Config::default();
    config.api.public_url = "https://prices.example.org/".to_owned();
    let api = Api::with_config(&database, &config).await;
    let page = api.get("/api/ticker-list/?page_size=1").await.ok();
    let next = "https://prices.example.org/api/ticker-list/?page=2&page_size=1";
    assert_eq!(page["next"], next);
}

#[tokio::test]
async fn http_2_serves_concurrent_requests_with_links_to_their_authority() {
    let database = Database::new().await;
    database.record(&[(1_700_000_000, "1.5"), (1_700_000_010, "2.5")]).await;
    let mut config = Config::default();
    config.api.header_timeout = Duration::from_secs(1);
    config.api.idle_timeout = Duration::from_secs(3);
    let api = Api::with_config(&database, &config).await;
    let socket = TokioIo::new(connect(&api).await);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| {
        let request = hyper::Request::get(format!("http://prices.example{path}"));
        let request = request.body(Empty::<hyper::body::Bytes>::new()).unwrap();
        let mut sender = sender.clone();
        async move {
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        }
    };
    // The server announces its limit of concurrent requests with the first response.
    request("/health/live").await;
    let pages = (0..20).map(|_| request("/api/ticker-list/?page_size=1"));
    for page in futures_util::future::join_all(pages).await {
        assert!(
            page.contains("http://prices.example/api/ticker-list/?page=2&page_size=1"),
            "{page}"
        );
    }
    // Longer than the header timeout, shorter than the idle timeout.
    sleep(Duration::from_secs(2)).await;
    request("/health/live").await;
    // An idle HTTP/2 client is disconnected, too.
    let closed = timeout(SOON, connection).await;
    assert!(closed.is_ok());
}
