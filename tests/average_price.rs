//! `/api/average-price/`: the mean price between two times.

use serde_json::json;

use crate::harness::{Api, Database};

/// Starts an API with four samples, 10 s apart, two of them with the same price.
async fn four_samples() -> Api {
    let database = Database::new().await;
    database
        .put_prices(&[
            ("1717184860", "84873600.0:1717184860"),
            ("1717184870", "84873600.0:1717184870"),
            ("1717184880", "84873600.01:1717184880"),
            ("1717184890", "84873700.5:1717184890"),
        ])
        .await;
    Api::start(&database).await
}

#[tokio::test]
async fn both_ends_of_the_range_are_inclusive() {
    let api = four_samples().await;
    let average = |since: &str, until: &str| {
        let path = format!("/api/average-price/?since={since}&until={until}");
        let api = &api;
        async move { api.get(&path).await.ok() }
    };
    let one = json!({"average_price": 84_873_600.0, "count": 1});
    assert_eq!(average("1717184860", "1717184860").await, one);
    assert_eq!(average("1717184860", "1717184869.999").await, one);
    assert_eq!(average("1717184860.001", "1717184870").await, one);
    let two = json!({"average_price": 84_873_600.0, "count": 2});
    assert_eq!(average("1717184860", "1717184870").await, two);
    // (84873600.0 + 84873600.01) / 2 = 84873600.005, rounded half to even
    assert_eq!(average("1717184870", "1717184880").await, two);
    let all = json!({"average_price": 84_873_625.13, "count": 4});
    assert_eq!(average("0", "9999999999").await, all);
    assert_eq!(average("2024-05-31T19:47:40Z", "2024-05-31T16:48:10-03:00").await, all);
    assert_eq!(average("2024-05-31T21:47:40+02:00", "2024-05-31T21:48:10%2B02:00").await, all);
}

#[tokio::test]
async fn an_empty_range_has_an_average_of_zero_with_a_decimal_point() {
    let api = four_samples().await;
    let none = api.get("/api/average-price/?since=0&until=1").await;
    assert_eq!(none.ok(), json!({"average_price": 0.0, "count": 0}));
    let one = api.get("/api/average-price/?since=1717184860&until=1717184860").await;
    assert_eq!(one.text, r#"{"average_price":84873600.0,"count":1}"#);
}

#[tokio::test]
async fn the_old_path_and_a_missing_slash_give_the_same_result() {
    let api = four_samples().await;
    let query = "since=1717184860&until=1717184890";
    let expected = api.get(&format!("/api/average-price/?{query}")).await.ok();
    assert_eq!(expected["count"], 4);
    for path in ["/api/average-price", "/api/ticker-average-price/", "/api/ticker-average-price"] {
        assert_eq!(api.get(&format!("{path}?{query}")).await.ok(), expected, "{path}");
    }
}

#[tokio::test]
async fn samples_of_the_old_stack_count_and_foreign_members_are_ignored() {
    let database = Database::new().await;
    database
        .put_prices(&[("5", "100.0"), ("6.5", "200.0"), ("7", "300.0:7"), ("8", "rubbish")])
        .await;
    let api = Api::start(&database).await;
    let average = api.get("/api/average-price/?since=0&until=10").await.ok();
    assert_eq!(average, json!({"average_price": 200.0, "count": 3}));
}

#[tokio::test]
async fn since_and_until_are_required_times_in_ascending_order() {
    let api = four_samples().await;
    let check = |query: &str, parameter: &str, expected: &str| {
        let path = format!("/api/average-price/?{query}");
        let (api, parameter, expected) = (&api, parameter.to_owned(), expected.to_owned());
        async move {
            let problem = api.get(&path).await.problem(400);
            assert_eq!(problem["parameter"], parameter.as_str(), "{path}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(&expected) && detail.contains(&parameter), "{path}: {detail}");
        }
    };
    check("", "since", "required").await;
    check("until=5", "since", "required").await;
    check("since=5", "until", "required").await;
    check("since=&until=5", "since", "1717184864").await;
    check("since=5&until=tomorrow", "until", "\"tomorrow\" is not a time").await;
    check("since=NaN&until=5", "since", "RFC 3339").await;
    check("since=5&until=inf", "until", "RFC 3339").await;
    check("since=6&until=5", "since", "since (6) is after until (5)").await;
}
