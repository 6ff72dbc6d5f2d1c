//! Each role as a process of the real binary: recording, killed processes, signals, health checks.

use std::{collections::BTreeSet, time::Duration};

use cotiza::store::keys;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{
    Cotiza, Database, FakeExchange, Node, SOON, eventually, free_port, get_text, run,
};

/// A Redis and an exchange for processes with slots of one second.
struct Site {
    database: Database,
    exchange: FakeExchange,
}

impl Site {
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

    async fn wait_for_samples(&self, count: usize) {
        let before = self.database.prices().await.len();
        eventually(SOON, "recording", || async {
            self.database.prices().await.len() >= before + count
        })
        .await;
    }

    /// Waits until the health check of the role ends with this exit code.
    async fn wait_for_health(&self, role: &str, code: i32) {
        let environment = self.environment();
        eventually(SOON, &format!("{role} health {code}"), || async {
            run(&["healthcheck", role], &environment).await.code == code
        })
        .await;
    }
}

#[tokio::test]
async fn a_price_of_the_exchange_is_recorded_and_served_by_the_api() {
    let site = Site::new().await;
    let api = site.start(&["api", "--listen", "127.0.0.1:0"]);
    let (_worker, _scheduler) = (site.start(&["worker"]), site.start(&["scheduler"]));
    let line = api.wait_for_line("the API listens on ").await;
    let address = line.rsplit(' ').next().unwrap();
    site.wait_for_samples(2).await;
    let url = format!("http://{address}/api/ticker-list/");
    let text = get_text(&url).await.unwrap();
    let page: Value = serde_json::from_str(&text).unwrap();
    assert!(page["count"].as_u64() >= Some(2), "{page}");
    assert_eq!(page["results"][0]["price"], 84_436_700.0);
}

#[tokio::test]
async fn recording_continues_when_a_scheduler_and_a_worker_are_killed() {
    let site = Site::new().await;
    let schedulers = [site.start(&["scheduler"]), site.start(&["scheduler"])];
    let workers = [site.start(&["worker"]), site.start(&["worker", "--concurrency", "1"])];
    site.wait_for_samples(2).await;
    let [first, _second] = schedulers;
    first.end(Signal::SIGKILL, SOON).await;
    site.wait_for_samples(2).await;
    let [first, _second] = workers;
    first.end(Signal::SIGKILL, SOON).await;
    site.wait_for_samples(3).await;
    let prices = site.database.prices().await;
    let seconds: BTreeSet<_> =
        prices.iter().filter_map(|member| member.split(':').nth(1)).collect();
    assert_eq!(seconds.len(), prices.len(), "a slot has two samples: {prices:?}");
}

#[tokio::test]
async fn the_job_of_a_killed_worker_is_run_by_another_worker_within_its_slot() {
    let site = Site::new().await;
    let mut environment = site.environment();
    environment.retain(|(name, _)| !name.contains("EVERY"));
    environment.push(("COTIZA__SCHEDULE__EVERY", "1h"));
    environment.push(("COTIZA__SOURCES__BUENBIT__TIMEOUT", "1m"));
    site.exchange.set_response(Duration::from_mins(1), 200, "");
    let first = Cotiza::start(&["worker"], &environment);
    let _scheduler = Cotiza::start(&["scheduler"], &environment);
    eventually(SOON, "the first worker sends a request", || async {
        site.exchange.request_count() == 1
    })
    .await;
    let _second = Cotiza::start(&["worker"], &environment);
    site.exchange.set_response(Duration::ZERO, 200, FakeExchange::ticker("84000005.0"));
    first.end(Signal::SIGKILL, SOON).await;
    eventually(Duration::from_secs(6), "the second worker records", || async {
        site.database.prices().await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_waits_for_a_silent_exchange_is_healthy() {
    let site = Site::new().await;
    site.exchange.set_response(Duration::from_mins(1), 200, "");
    let mut environment = site.environment();
    environment.retain(|(name, _)| !name.contains("EVERY"));
    environment.push(("COTIZA__SCHEDULE__EVERY", "1m"));
    environment.push(("COTIZA__SOURCES__BUENBIT__TIMEOUT", "1m"));
    let _worker = Cotiza::start(&["worker", "--concurrency", "1"], &environment);
    let _scheduler = Cotiza::start(&["scheduler"], &environment);
    eventually(SOON, "the worker sends a request", || async { site.exchange.request_count() >= 1 })
        .await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let health = run(&["healthcheck", "worker"], &environment).await;
    assert_eq!(health.code, 0, "{}", health.stderr);
}

#[tokio::test]
async fn https_certificates_are_not_needed_for_an_http_source() {
    let site = Site::new().await;
    let mut environment = site.environment();
    environment.extend([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]);
    let _processes =
        [&["worker"][..], &["scheduler"]].map(|role| Cotiza::start(role, &environment));
    site.wait_for_samples(1).await;
}

#[tokio::test]
async fn every_role_stops_with_exit_code_0_on_sigterm_and_on_sigint() {
    let site = Site::new().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for (arguments, ready) in [
            (&["scheduler"][..], "the scheduler has started"),
            (&["worker"], "the worker has started"),
            (&["api", "--listen", "127.0.0.1:0"], "the API listens"),
            (&["exchange", "--listen", "127.0.0.1:0"], "the simulated exchange listens"),
        ] {
            let process = site.start(arguments);
            process.wait_for_line(ready).await;
            let status = process.end(signal, Duration::from_secs(7)).await;
            assert_eq!(status.code(), Some(0), "{arguments:?} on {signal}");
        }
    }
}

#[tokio::test]
async fn every_role_starts_while_redis_is_unreachable() {
    let environment = [("REDIS_URL", "redis://127.0.0.1:1/0")];
    for arguments in [&["scheduler"][..], &["worker"], &["api", "--listen", "127.0.0.1:0"]] {
        let process = Cotiza::start(arguments, &environment);
        process.wait_for_line("the ").await;
        let status = process.end(Signal::SIGTERM, Duration::from_secs(7)).await;
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

#[tokio::test]
async fn health_checks_fail_when_the_process_does_not_run() {
    let site = Site::new().await;
    for role in ["scheduler", "worker"] {
        let before = run(&["healthcheck", role], &site.environment()).await;
        assert_eq!(before.code, 1);
        assert!(before.stderr.contains("is running on the host"), "{}", before.stderr);
        let process = site.start(&[role]);
        site.wait_for_health(role, 0).await;
        process.end(Signal::SIGKILL, SOON).await;
        site.wait_for_health(role, 1).await;
    }
    let listen = format!("127.0.0.1:{}", free_port());
    let mut environment = site.environment();
    environment.push(("COTIZA__API__LISTEN", &listen));
    assert_eq!(run(&["healthcheck", "api"], &environment).await.code, 1);
    let _api = Cotiza::start(&["api"], &environment);
    eventually(SOON, "the API is healthy", || async {
        run(&["healthcheck", "api"], &environment).await.code == 0
    })
    .await;
}

#[tokio::test]
async fn a_supervised_process_stops_when_its_parent_ends() {
    let site = Site::new().await;
    let mut environment = site.environment();
    environment.push(("COTIZA__LOG__FORMAT", "json"));
    // Standard input is /dev/null here, so it is at its end from the start.
    let process = Cotiza::start(&["scheduler", "--supervised"], &environment);
    let line = process.wait_for_line("the end of the parent process").await;
    let fields: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(fields["level"], "INFO");
}

#[tokio::test]
async fn idle_processes_send_few_commands_to_redis() {
    let node = Node::start("");
    node.wait_until_ready().await;
    let (exchange, url) = (FakeExchange::start().await, node.url());
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("COTIZA__SCHEDULE__EVERY", "1s"),
        ("COTIZA__SOURCES__BUENBIT__URL", exchange.url.as_str()),
    ];
    let _processes = ["scheduler", "worker"].map(|role| Cotiza::start(&[role], &environment));
    eventually(SOON, "recording", || async {
        node.command::<u64>(&["ZCARD", keys::PRICES]).await.unwrap() >= 3
    })
    .await;
    let commands = || async {
        let info: String = node.command(&["INFO", "stats"]).await.unwrap();
        let count = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = commands().await;
    eventually(SOON, "three more samples", || async {
        node.command::<u64>(&["ZCARD", keys::PRICES]).await.unwrap() >= 6
    })
    .await;
    let sent = commands().await - before;
    // This includes commands within scripts. Two queues that wake each other would send thousands per second.
    assert!(sent < 1500, "{sent} commands for three samples");
}
