//! Error responses of the API, except for invalid values of parameters.

use cotiza::{config::Config, store::keys};
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
async fn an_unknown_path_is_404_and_a_wrong_method_is_405() {
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
async fn a_repeated_parameter_is_refused() {
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
async fn an_unknown_parameter_is_refused_with_the_nearest_name() {
    let api = Api::start(&Database::new().await).await;
    for (path, name, says) in [
        ("/api/ticker-list/?page_sise=5", "page_sise", "did you mean page_size?"),
        ("/api/average-price/?since=1&until=5&unti=2", "unti", "did you mean until?"),
        ("/api/candles?intervall=1h", "intervall", "did you mean interval?"),
        ("/api/coverage/?somethingelse=1", "somethingelse", "the parameters are since, until"),
        ("/api/sources/?a=1", "a", "this operation has none"),
    ] {
        let problem = api.get(path).await.problem(400);
        assert_eq!(problem["parameter"], name);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    // Clients of the old stack request JSON like this; probes may have any parameters.
    api.get("/api/average-price/?since=1&until=5&format=json").await.ok();
    api.get("/health/live?probe=1").await.ok();
}

#[tokio::test]
async fn the_first_request_after_a_restart_of_redis_succeeds() {
    let mut server = RedisServer::start();
    let database = server.ready_database().await;
    let api = Api::start(&database).await;
    api.get("/api/ticker-list/").await.ok();
    server.kill();
    server.restart();
    database.wait_until_ready().await;
    api.get("/api/ticker-list/").await.ok();
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let api = Api::start(&Database::new().await).await;
    let answer = api.request(Method::HEAD, "/api/ticker-list/", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_key_of_the_wrong_type_is_a_503_without_internal_details() {
    let database = Database::new().await;
    database.command::<()>(&["SET", keys::PRICES, "not a sorted set"]).await;
    let api = Api::unready(&database, &Config::default()).await;
    let problem = api.get("/api/ticker-list/").await.problem(503);
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.contains("WRONGTYPE") && !detail.to_lowercase().contains("redis"), "{detail}");
}
