//! What the API answers when something is wrong that is no parameter.

use cotiza::config::Config;
use reqwest::Method;

use crate::harness::{Api, Database, RedisServer};

const ALL: [&str; 5] = [
    "/api/average-price/?since=0&until=9",
    "/api/ticker-average-price/?since=0&until=9",
    "/api/ticker-list/",
    "/api/ticker-price/?timestamp=5",
    "/health/ready",
];

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems_too() {
    let api = Api::start(&Database::new().await).await;
    let problem = api.get("/api/nothing/").await.problem(404);
    assert!(problem["detail"].as_str().unwrap().contains("/docs"), "{problem}");
    for path in ALL {
        let answer = api.request(Method::POST, path, &[]).await;
        answer.problem(405);
        assert_eq!(answer.headers["allow"], "GET, HEAD, OPTIONS");
    }
    api.request(Method::POST, "/openapi.json", &[]).await.problem(405);
}

#[tokio::test]
async fn a_parameter_that_is_given_twice_is_refused() {
    let api = Api::start(&Database::new().await).await;
    for (path, name) in [
        ("/api/average-price/?since=1&until=5&since=2", "since"),
        ("/api/ticker-list/?page=1&page=99", "page"),
        ("/api/ticker-list?page_size=5&page_size=5", "page_size"),
        ("/api/ticker-price/?timestamp=1&timestamp=2", "timestamp"),
    ] {
        let problem = api.get(path).await.problem(400);
        assert_eq!(problem["parameter"], name);
        assert_eq!(problem["detail"], format!("{name}: given more than once"));
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_with_the_nearest_name() {
    let api = Api::start(&Database::new().await).await;
    for (path, name, says) in [
        ("/api/ticker-list/?page_sise=5", "page_sise", "did you mean page_size?"),
        ("/api/average-price/?since=1&until=5&unti=2", "unti", "did you mean until?"),
        ("/api/candles?intervall=1h", "intervall", "did you mean interval?"),
        ("/api/coverage/?somethingelse=1", "somethingelse", "known are since, until"),
        ("/api/sources/?a=1", "a", "there are none here"),
    ] {
        let problem = api.get(path).await.problem(400);
        assert_eq!(problem["parameter"], name);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    // Clients of the old stack asked for JSON in this way; probes may ask for anything.
    api.get("/api/average-price/?since=1&until=5&format=json").await.ok();
    api.get("/health/live?probe=1").await.ok();
}

#[tokio::test]
async fn a_redis_that_was_restarted_unnoticed_is_used_at_the_first_request() {
    let mut server = RedisServer::start();
    let database = server.database();
    database.answers().await;
    let api = Api::start(&database).await;
    api.get("/api/ticker-list/").await.ok();
    server.kill();
    server.restart();
    database.answers().await;
    api.get("/api/ticker-list/").await.ok();
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let api = Api::start(&Database::new().await).await;
    let answer = api.request(Method::HEAD, "/api/ticker-list/", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_broken_key_is_a_503_that_hides_the_inside() {
    let database = Database::new().await;
    database.command::<()>(&["SET", "prices", "not a sorted set"]).await;
    let api = Api::unready(&database, &Config::default()).await;
    let problem = api.get("/api/ticker-list/").await.problem(503);
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.contains("WRONGTYPE") && !detail.to_lowercase().contains("redis"), "{detail}");
}
