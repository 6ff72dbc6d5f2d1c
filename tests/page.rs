//! The page and the runbook as documents; their behaviour is tested in a browser (tests/conformance).

use crate::harness::{Api, Database};

#[tokio::test]
async fn the_page_is_small_and_loads_nothing_from_other_hosts() {
    let api = Api::start(&Database::new().await).await;
    let page = api.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers.contains_key("etag"));
    assert!(page.text.len() < 100_000, "{} bytes", page.text.len());
    for load in ["<script src", "rel=\"stylesheet\"", "@import", "<img src=\"http", "url(http"] {
        assert!(!page.text.contains(load), "the page contains {load}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

#[tokio::test]
async fn each_reported_problem_has_a_section_in_the_runbook() {
    let api = Api::start(&Database::new().await).await;
    let runbook = api.get("/help").await;
    assert_eq!(runbook.status, 200);
    let status = api.get("/api/status/").await.ok();
    for problem in status["problems"].as_array().unwrap() {
        let help = problem["help"].as_str().unwrap();
        assert!(runbook.text.contains(&format!("<h2 id=\"{help}\">")), "{help}");
    }
}
