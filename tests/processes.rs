//! Each role as the real binary: the whole chain, killed members, signals, health checks.

use std::{collections::BTreeSet, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Cotiza, Database, FakeExchange, Node, SOON, eventually, get_text, run};

/// The settings of a chain with a slot a second, as environment variables.
struct Chain {
    database: Database,
    exchange: FakeExchange,
}

impl Chain {
    async fn new() -> Self {
        Self { database: Database::new().await, exchange: FakeExchange::start().await }
    }

    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("REDIS_URL", self.database.url.as_str()),
            ("COTIZA__SCHEDULE__EVERY", "1s"),
            ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
        ]
    }

    fn start(&self, arguments: &[&str]) -> Cotiza {
        Cotiza::start(arguments, &self.environment())
    }

    async fn records(&self, count: usize) {
        let before = self.database.prices().await.len();
        eventually(SOON, "recording", || async {
            self.database.prices().await.len() >= before + count
        })
        .await;
    }

    /// The health check's exit code, once it is this one.
    async fn health_becomes(&self, role: &str, code: i32) {
        let environment = self.environment();
        eventually(SOON, &format!("{role} health {code}"), || async {
            run(&["healthcheck", role], &environment).await.code == code
        })
        .await;
    }
}

#[tokio::test]
async fn a_price_goes_from_the_exchange_to_the_api() {
    let chain = Chain::new().await;
    let api = chain.start(&["api", "--listen", "127.0.0.1:0"]);
    let (_worker, _scheduler) = (chain.start(&["worker"]), chain.start(&["scheduler"]));
    let line = api.says("the API listens on ").await;
    let address = line.rsplit(' ').next().unwrap();
    chain.records(2).await;
    let url = format!("http://{address}/api/ticker-list/");
    let text = get_text(&url).await.unwrap();
    let page: Value = serde_json::from_str(&text).unwrap();
    assert!(page["count"].as_u64() >= Some(2), "{page}");
    assert_eq!(page["results"][0]["price"], 84_436_700.0);
}

#[tokio::test]
async fn killed_schedulers_and_workers_are_made_up_for_by_the_others() {
    let chain = Chain::new().await;
    let schedulers = [chain.start(&["scheduler"]), chain.start(&["scheduler"])];
    let workers = [chain.start(&["worker"]), chain.start(&["worker", "--concurrency", "1"])];
    chain.records(2).await;
    let [first, _second] = schedulers;
    first.end(Signal::SIGKILL, SOON).await;
    chain.records(2).await;
    let [first, _second] = workers;
    first.end(Signal::SIGKILL, SOON).await;
    chain.records(3).await;
    let prices = chain.database.prices().await;
    let seconds: BTreeSet<_> =
        prices.iter().filter_map(|member| member.split(':').nth(1)).collect();
    assert_eq!(seconds.len(), prices.len(), "a slot is double: {prices:?}");
}

#[tokio::test]
async fn the_job_of_a_killed_worker_is_run_by_another_within_its_slot() {
    let chain = Chain::new().await;
    let mut environment = chain.environment();
    environment.retain(|(name, _)| !name.contains("EVERY"));
    environment.push(("COTIZA__SCHEDULE__EVERY", "1h"));
    environment.push(("COTIZA__SOURCES__BUENBIT__TIMEOUT", "1m"));
    chain.exchange.answers(Duration::from_mins(1), 200, "");
    let first = Cotiza::start(&["worker"], &environment);
    let _scheduler = Cotiza::start(&["scheduler"], &environment);
    eventually(SOON, "the first worker asks", || async { chain.exchange.asked() == 1 }).await;
    let _second = Cotiza::start(&["worker"], &environment);
    chain.exchange.answers(Duration::ZERO, 200, FakeExchange::ticker("84000005.0"));
    first.end(Signal::SIGKILL, SOON).await;
    eventually(Duration::from_secs(6), "the second worker records", || async {
        chain.database.prices().await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_busy_with_a_silent_exchange_is_well() {
    let chain = Chain::new().await;
    chain.exchange.answers(Duration::from_mins(1), 200, "");
    let mut environment = chain.environment();
    environment.retain(|(name, _)| !name.contains("EVERY"));
    environment.push(("COTIZA__SCHEDULE__EVERY", "1m"));
    environment.push(("COTIZA__SOURCES__BUENBIT__TIMEOUT", "1m"));
    let _worker = Cotiza::start(&["worker", "--concurrency", "1"], &environment);
    let _scheduler = Cotiza::start(&["scheduler"], &environment);
    eventually(SOON, "it asks", || async { chain.exchange.asked() >= 1 }).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let health = run(&["healthcheck", "worker"], &environment).await;
    assert_eq!(health.code, 0, "{}", health.stderr);
}

#[tokio::test]
async fn https_certificates_are_not_needed_for_an_http_source() {
    let chain = Chain::new().await;
    let mut environment = chain.environment();
    environment.extend([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]);
    let _processes =
        [&["worker"][..], &["scheduler"]].map(|role| Cotiza::start(role, &environment));
    chain.records(1).await;
}

#[tokio::test]
async fn every_role_stops_with_0_on_sigterm_and_on_sigint() {
    let chain = Chain::new().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for (arguments, ready) in [
            (&["scheduler"][..], "the scheduler runs"),
            (&["worker"], "the worker runs"),
            (&["api", "--listen", "127.0.0.1:0"], "the API listens"),
            (&["exchange", "--listen", "127.0.0.1:0"], "the simulated exchange listens"),
        ] {
            let process = chain.start(arguments);
            process.says(ready).await;
            let status = process.end(signal, Duration::from_secs(7)).await;
            assert_eq!(status.code(), Some(0), "{arguments:?} on {signal}");
        }
    }
}

#[tokio::test]
async fn every_role_starts_while_redis_is_away() {
    let environment = [("REDIS_URL", "redis://127.0.0.1:1/0")];
    for arguments in [&["scheduler"][..], &["worker"], &["api", "--listen", "127.0.0.1:0"]] {
        let process = Cotiza::start(arguments, &environment);
        process.says("the ").await;
        let status = process.end(Signal::SIGTERM, Duration::from_secs(7)).await;
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

#[tokio::test]
async fn health_checks_follow_the_processes() {
    let chain = Chain::new().await;
    for role in ["scheduler", "worker"] {
        let before = run(&["healthcheck", role], &chain.environment()).await;
        assert_eq!(before.code, 1);
        assert!(before.stderr.contains("has been at work"), "{}", before.stderr);
        let process = chain.start(&[role]);
        chain.health_becomes(role, 0).await;
        process.end(Signal::SIGKILL, SOON).await;
        chain.health_becomes(role, 1).await;
    }
    let port = crate::harness::free_port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let mut environment = chain.environment();
    environment.push(("COTIZA__API__LISTEN", &listen));
    assert_eq!(run(&["healthcheck", "api"], &environment).await.code, 1);
    let _api = Cotiza::start(&["api"], &environment);
    eventually(SOON, "the API is well", || async {
        run(&["healthcheck", "api"], &environment).await.code == 0
    })
    .await;
}

#[tokio::test]
async fn a_supervised_process_stops_when_its_parent_is_gone() {
    let chain = Chain::new().await;
    let mut environment = chain.environment();
    environment.push(("COTIZA__LOG__FORMAT", "json"));
    // Standard input is /dev/null here: it is at its end from the start.
    let process = Cotiza::start(&["scheduler", "--supervised"], &environment);
    let line = process.says("the end of the parent process").await;
    let fields: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(fields["level"], "INFO");
}

#[tokio::test]
async fn idle_processes_leave_redis_alone() {
    let node = Node::start("");
    node.answers().await;
    let (exchange, url) = (FakeExchange::start().await, node.url());
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__SCHEDULE__EVERY", "1s"),
        ("COTIZA__SOURCES__BUENBIT__URL", exchange.url.as_str()),
    ];
    let _processes = ["scheduler", "worker"].map(|role| Cotiza::start(&[role], &environment));
    eventually(SOON, "recording", || async {
        node.ask::<u64>(&["ZCARD", "prices"]).await.unwrap() >= 3
    })
    .await;
    let commands = || async {
        let info: String = node.ask(&["INFO", "stats"]).await.unwrap();
        let count = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = commands().await;
    eventually(SOON, "three more samples", || async {
        node.ask::<u64>(&["ZCARD", "prices"]).await.unwrap() >= 6
    })
    .await;
    let sent = commands().await - before;
    // With those within scripts. Two queues that wake each other send thousands a second.
    assert!(sent < 1500, "{sent} commands for three samples");
}
