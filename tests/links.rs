//! Links to other pages: in the `link` header, behind proxies, and with each form of the host of a request.

use cotiza::config::Networks;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{
    conventions::{api_with, get, header, raw},
    harness::Api,
};

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
async fn without_a_host_links_use_the_address_of_the_server() {
    let api = api_with(|_| {}).await;
    let answer = raw(&api, "GET /api/ticker-list/ HTTP/1.0\r\n\r\n").await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains(&format!("{}/api/ticker-list/?page=2", api.origin)), "{answer}");
}

#[tokio::test]
async fn links_use_the_host_of_an_absolute_url() {
    let api = api_with(|_| {}).await;
    let request = "GET http://c.example/api/ticker-list/ HTTP/1.1\r\nHost: d.example\r\n\
                   Connection: close\r\n\r\n";
    let answer = String::from_utf8(raw(&api, request).await).unwrap();
    assert!(answer.contains("\"http://c.example/api/ticker-list/?page=2\""), "{answer}");
}

#[tokio::test]
async fn links_use_the_authority_of_http_2() {
    let api = api_with(|_| {}).await;
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
