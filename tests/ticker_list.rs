//! `/api/ticker-list/`: pages, links and errors.

use cotiza::config::{Config, Networks};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, Database, members, samples};

/// Returns a database with samples at the unix seconds 10, 20, ... with the prices 1, 2, ...
async fn stored(count: i64) -> Database {
    let database = Database::new().await;
    let samples = samples(10).every(10).count(count).prices(|n| format!("{}.0", n + 1));
    database.put_prices(&members(&samples)).await;
    database
}

fn prices(page: &Value) -> Vec<f64> {
    let results = page["results"].as_array().expect("results");
    results.iter().map(|ticker| ticker["price"].as_f64().expect("a number")).collect()
}

#[tokio::test]
async fn the_first_page_has_the_ten_oldest_samples() {
    let api = Api::start(&stored(11).await).await;
    let answer = api.get("/api/ticker-list/").await;
    let page = answer.ok();
    assert_eq!(page["count"], 11);
    assert_eq!(page["previous"], Value::Null);
    assert_eq!(page["next"], format!("{}/api/ticker-list/?page=2", api.origin));
    assert_eq!(page["results"][0], json!({"timestamp": 10, "price": 1.0, "source": null}));
    assert_eq!(prices(&page).len(), 10);
    assert!(
        answer.text.contains(r#"{"timestamp":10,"price":1.0,"source":null}"#),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn links_lead_through_all_pages_and_back() {
    let api = Api::start(&stored(7).await).await;
    let (mut link, mut listed) = ("/api/ticker-list/?since=20&page_size=2".to_owned(), Vec::new());
    let last = loop {
        let page = api.get(&link).await.ok();
        listed.extend(prices(&page));
        match page["next"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break page,
        }
    };
    assert_eq!(listed, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let origin = &api.origin;
    let second = last["previous"].as_str().unwrap();
    assert_eq!(second, format!("{origin}/api/ticker-list/?page=2&page_size=2&since=20"));
    let first = api.get(second).await.ok()["previous"].as_str().unwrap().to_owned();
    assert_eq!(first, format!("{origin}/api/ticker-list/?page_size=2&since=20"));
    assert_eq!(prices(&api.get(&first).await.ok()), [2.0, 3.0]);
}

#[tokio::test]
async fn the_last_page_has_a_number_and_a_name() {
    let api = Api::start(&stored(11).await).await;
    let by_name = api.get("/api/ticker-list/?page=last").await.ok();
    assert_eq!(prices(&by_name), [11.0]);
    assert_eq!(by_name, api.get("/api/ticker-list/?page=2").await.ok());
    assert_eq!(by_name["next"], Value::Null);
}

#[tokio::test]
async fn the_first_page_without_samples_is_empty() {
    let api = Api::start(&stored(0).await).await;
    let nothing = json!({"count": 0, "next": null, "previous": null, "results": []});
    for query in ["", "?page=1", "?page=last", "?since=5&until=6", "?page="] {
        assert_eq!(api.get(&format!("/api/ticker-list/{query}")).await.ok(), nothing, "{query}");
    }
}

#[tokio::test]
async fn a_page_that_does_not_exist_is_a_404() {
    let api = Api::start(&stored(11).await).await;
    for page in ["0", "-1", "3", "1.5", "abc", "Last", "1e1", "99999999999999999999", "%00"] {
        let problem = api.get(&format!("/api/ticker-list/?page={page}")).await.problem(404);
        assert_eq!(problem["detail"], "Invalid page.", "{page}");
    }
}

#[tokio::test]
async fn a_page_size_out_of_range_is_a_400() {
    let api = Api::start(&stored(3).await).await;
    for size in ["0", "1001", "-1", "ten", "", "1.5"] {
        let problem = api.get(&format!("/api/ticker-list/?page_size={size}")).await.problem(400);
        assert_eq!(problem["parameter"], "page_size", "{size}");
        assert!(problem["detail"].as_str().unwrap().contains("from 1 to 1000"), "{problem}");
    }
    assert_eq!(prices(&api.get("/api/ticker-list/?page_size=1000").await.ok()).len(), 3);
}

#[tokio::test]
async fn an_invalid_time_is_a_400() {
    let api = Api::start(&stored(3).await).await;
    let problem = api.get("/api/ticker-list/?since=x").await.problem(400);
    assert_eq!(problem["parameter"], "since");
}

#[tokio::test]
async fn forwarded_headers_are_used_from_trusted_proxies_only() {
    let database = stored(11).await;
    let headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", "cotiza.example")];
    let next = |api: Api| async move {
        let answer = api.request(Method::GET, "/api/ticker-list/", &headers).await;
        answer.ok()["next"].as_str().unwrap().to_owned()
    };
    let mut trusting = Config::default();
    trusting.api.trusted_proxies = Networks(vec!["127.0.0.0/8".parse().unwrap()]);
    let trusted = next(Api::with_config(&database, &trusting).await).await;
    assert_eq!(trusted, "https://cotiza.example/api/ticker-list/?page=2");
    let mut untrusting = Config::default();
    untrusting.api.trusted_proxies = Networks(vec!["10.0.0.0/8".parse().unwrap()]);
    let direct = next(Api::with_config(&database, &untrusting).await).await;
    assert!(direct.starts_with("http://127.0.0.1:"), "{direct}");
}

#[tokio::test]
async fn links_keep_the_host_of_the_client_and_sort_parameters_by_name() {
    let api = Api::start(&stored(11).await).await;
    let path =
        "/api/ticker-list?order=asc&until=99&page=2&since=1970-01-01T00:00:00%2B00:00&page_size=3";
    let page = api.request(Method::GET, path, &[("host", "example.com:8000")]).await.ok();
    let others = "page_size=3&since=1970-01-01T00%3A00%3A00%2B00%3A00&until=99";
    let link = |query: &str| format!("http://example.com:8000/api/ticker-list?order=asc&{query}");
    assert_eq!(page["next"], link(&format!("page=3&{others}")));
    assert_eq!(page["previous"], link(others));
}

#[tokio::test]
async fn an_invalid_host_is_not_used_in_links() {
    let api = Api::start(&stored(11).await).await;
    let next = |host: &'static str| {
        let api = &api;
        async move {
            let answer = api.request(Method::GET, "/api/ticker-list/", &[("host", host)]).await;
            answer.ok()["next"].as_str().unwrap().to_owned()
        }
    };
    for host in [
        "evil.com/path?",
        "user@evil.com",
        "a b",
        "",
        "h#f",
        "h?q",
        "%41.com",
        "*",
        "h:x",
        "h:+80",
        "h:99999",
        "[zz]",
        "999.1.1.1",
        "a..0x1f",
        "xn--.com",
    ] {
        let own = format!("{}/api/ticker-list/?page=2", api.origin);
        assert_eq!(next(host).await, own, "{host:?}");
    }
    for host in ["localhost:8000", "[::1]:8000", "10.0.0.1", "api.Example-1.com:80", "a_b"] {
        assert_eq!(next(host).await, format!("http://{host}/api/ticker-list/?page=2"));
    }
}
