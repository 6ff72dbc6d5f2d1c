//! Clients that are slow, silent, too many or too greedy: they are cut off, others are served.

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

/// An API that has little patience.
async fn impatient(change: impl FnOnce(&mut Config)) -> Api {
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

/// Everything until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _read = timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request and reads the head of the answer and its body.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 2000];
    let length = timeout(SOON, stream.read(&mut answer)).await.expect("answered").unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn who_sends_no_request_or_only_half_of_one_is_cut_off() {
    let api = impatient(|_| {}).await;
    let begun = Instant::now();
    let mut silent = connect(&api).await;
    let mut half = connect(&api).await;
    half.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let mut idle = connect(&api).await;
    assert!(ask(&mut idle, GET).await.starts_with("HTTP/1.1 200"));
    for stream in [&mut silent, &mut half, &mut idle] {
        assert_eq!(rest(stream).await, "");
    }
    let elapsed = begun.elapsed();
    assert!(elapsed > Duration::from_secs(1), "too early: {elapsed:?}");
    api.get("/health/live").await.ok();
}

#[tokio::test]
async fn who_sends_a_byte_now_and_then_is_cut_off() {
    let api = impatient(|_| {}).await;
    let mut drip = connect(&api).await;
    drip.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let dripping = async {
        while drip.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, dripping).await.expect("it is cut off");
}

#[tokio::test]
async fn who_does_not_take_an_answer_or_only_by_the_byte_is_cut_off() {
    let api = impatient(|_| {}).await;
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
    let read = timeout(2 * SOON, slowly).await.expect("it is cut off");
    assert!(read < 1_000_000, "it has read {read} bytes");
    assert!(rest(&mut unread).await.len() < 1_000_000);
}

#[tokio::test]
async fn one_connection_too_many_closes_the_one_that_was_idle_for_longest() {
    let api = impatient(|config| {
        config.api.max_connections = 3;
        config.api.idle_timeout = Duration::from_mins(1);
        config.api.header_timeout = Duration::from_mins(1);
    })
    .await;
    let (mut first, mut second) = (connect(&api).await, connect(&api).await);
    sleep(Duration::from_millis(50)).await;
    assert!(ask(&mut second, GET).await.contains("200 OK"));
    let mut others = Vec::new();
    for _ in 0..6 {
        let mut other = connect(&api).await;
        assert!(ask(&mut other, GET).await.contains("200 OK"));
        others.push(other);
        assert!(ask(&mut second, GET).await.contains("200 OK"), "the busy one was closed");
    }
    assert_eq!(rest(&mut first).await, "");
}

#[tokio::test]
async fn an_address_has_its_own_limit_and_a_trusted_proxy_has_none() {
    for (trusted, closed) in [(vec![], true), (vec!["127.0.0.0/8".parse().unwrap()], false)] {
        let api = impatient(|config| {
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
            assert!(ask(&mut other, GET).await.contains("200 OK"));
            others.push(other);
        }
        let cut = timeout(Duration::from_millis(300), rest(&mut first)).await;
        assert_eq!(cut.is_ok(), closed);
    }
}

#[tokio::test]
async fn a_process_with_few_files_serves_while_others_hold_connections() {
    let database = Database::new().await;
    let environment = [("REDIS_URL", database.url.as_str())];
    let api = Cotiza::with_files(100, &["api", "--listen", "127.0.0.1:0"], &environment);
    api.says("fewer connections than api.max_connections").await;
    let line = api.says("the API listens on ").await;
    let address = line.rsplit(' ').next().unwrap();
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, GET).await.contains("200 OK"));
    }
}

#[tokio::test]
async fn too_large_urls_and_headers_are_refused() {
    let api = impatient(|_| {}).await;
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
    assert!(timeout(SOON, sending).await.expect("it is cut off") < 50_000_000);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let api = impatient(|_| {}).await;
    for (request, status) in [
        ("GET /health/live HTTP/1.1\r\n\r\n", "400"),
        ("GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("GET /health/live HTTP/1.0\r\n\r\n", "200"),
    ] {
        let answer = ask(&mut connect(&api).await, request).await;
        assert!(answer.split(' ').nth(1) == Some(status), "{request}: {answer}");
        assert!(status == "200" || answer.contains("Host headers; give one"), "{answer}");
    }
}

#[tokio::test]
async fn more_requests_than_allowed_get_429_by_the_address_of_the_client() {
    let api = impatient(|config| {
        config.api.requests_per_second = 5;
        config.api.trusted_proxies = Networks(vec![IpAddr::from([127, 0, 0, 1]).into()]);
    })
    .await;
    let ask = async |client: &str| {
        let headers = [("x-forwarded-for", client)];
        api.request(Method::GET, "/api/ticker-list/", &headers).await
    };
    let mut refused = None;
    for _ in 0..20 {
        // The client may send this header itself; only the address that the proxy appends counts.
        let answer = ask("9.9.9.9, 10.1.2.3").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("one was refused");
    // A client cannot be another one by a header that the proxy passes on.
    let mut made_up = None;
    for n in 0..20 {
        let forwarded = format!("for=8.8.8.{n}");
        let headers = [("forwarded", forwarded.as_str()), ("x-forwarded-for", "10.1.2.5")];
        let answer = api.request(Method::GET, "/api/ticker-list/", &headers).await;
        made_up = made_up.or((answer.status == 429).then_some(n));
    }
    assert!(made_up.is_some(), "20 requests at once, 5 a second");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    refused.problem(429);
    ask("10.1.2.4").await.ok();
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for _ in 0..10 {
            let headers = [("x-forwarded-for", "10.1.2.3")];
            let answer = api.request(Method::GET, path, &headers).await;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    eventually(SOON, "it is served again", || async { ask("10.1.2.3").await.status == 200 }).await;
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
async fn http_2_is_served_with_requests_side_by_side_and_links_to_its_authority() {
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
    let ask = |path: &str| {
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
    // With the first answer comes how many requests there may be at the same time.
    ask("/health/live").await;
    let pages = (0..20).map(|_| ask("/api/ticker-list/?page_size=1"));
    for page in futures_util::future::join_all(pages).await {
        assert!(
            page.contains("http://prices.example/api/ticker-list/?page=2&page_size=1"),
            "{page}"
        );
    }
    // Longer than for half a request, shorter than for none.
    sleep(Duration::from_secs(2)).await;
    ask("/health/live").await;
    // A client of HTTP/2 that asks for nothing any more is cut off, too.
    let closed = timeout(SOON, connection).await;
    assert!(closed.is_ok());
}
