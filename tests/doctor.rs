//! `cotiza doctor`, and the same checks when a process starts.

use serde_json::Value;

use crate::harness::{Cotiza, Node, SOON, Stack, eventually, free_port, run};

/// Runs `cotiza doctor --json` and returns its findings and its exit code.
async fn findings(url: &str) -> (Vec<Value>, i32) {
    let output = run(&["doctor", "--json"], &[("REDIS_URL", url)]).await;
    let findings = serde_json::from_str(&output.stdout);
    (findings.unwrap_or_else(|_| panic!("{}{}", output.stdout, output.stderr)), output.code)
}

fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings.iter().find(|finding| finding["check"] == check).expect(check)
}

#[tokio::test]
async fn a_suitable_redis_has_no_warnings() {
    let node = Node::start("");
    let url = node.url();
    let stack = Stack::start(&[("REDIS_URL", &url)]).await;
    stack.wait_for_samples("at first", SOON).await;
    eventually(SOON, "all processes are listed", || async {
        let list = stack.get("/api/processes/").await.unwrap_or_default();
        list["processes"].as_array().is_some_and(|processes| processes.len() == 4)
    })
    .await;
    let (findings, code) = findings(&url).await;
    assert_eq!(code, 0);
    for finding in &findings {
        assert_eq!(finding["verdict"], "ok", "{finding}");
    }
    for (check, part) in [
        ("address", "redis://127.0.0.1:"),
        ("role", "primary"),
        ("tls", "no"),
        ("persistence", "append-only file"),
        ("schedulers", "1 alive"),
        ("workers", "2 alive"),
        ("sources", "buenbit responds"),
        ("clock", "from Redis"),
        ("latency", "ms"),
        ("memory", "used"),
    ] {
        let text = finding(&findings, check)["text"].as_str().unwrap();
        assert!(text.contains(part), "{check}: {text}");
    }
}

#[tokio::test]
async fn settings_that_may_lose_prices_are_reported_by_doctor_and_at_startup() {
    let node = Node::start("appendonly no\nmaxmemory 3mb\nmaxmemory-policy allkeys-lru");
    node.wait_until_ready().await;
    let url = node.url();
    let (findings, code) = findings(&url).await;
    assert_eq!(code, 0, "warnings do not fail");
    for check in ["persistence", "maxmemory-policy", "schedulers", "workers"] {
        assert_eq!(finding(&findings, check)["verdict"], "warning", "{findings:?}");
    }
    let worker = Cotiza::start(&["worker"], &[("REDIS_URL", &url)]);
    worker.wait_for_line("silently deletes prices").await;
    worker.wait_for_line("a restart of Redis loses all prices").await;
}

#[tokio::test]
async fn an_unreachable_redis_is_unfit_and_its_password_is_hidden() {
    let url = format!("redis://:secret@127.0.0.1:{}/0", free_port());
    let (findings, code) = findings(&url).await;
    assert_eq!(code, 1);
    let reachable = finding(&findings, "reachable");
    assert_eq!(reachable["verdict"], "unfit");
    assert!(reachable["text"].as_str().unwrap().contains("that Redis is running"), "{reachable}");
    assert!(!format!("{findings:?}").contains("secret"));
}
