//! A Redis that hangs, restarts or is unavailable: recording recovers by itself and duplicates no slot.

use std::{collections::BTreeSet, time::Duration};

use cotiza::{clock::Clock, config::Config, history::History, process};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Cotiza, Database, FakeExchange, RedisServer, SOON, UNLIMITED, between, eventually, free_port,
};

/// Two schedulers and two workers within this process, with slots of one second and their own Redis.
struct Stack {
    server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
}

impl Stack {
    async fn start() -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        let database = server.ready_database().await;
        let mut config = Config::default();
        config.schedule.every = Duration::from_secs(1);
        config.redis.url = server.url();
        config.sources = exchange.config();
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        for _ in 0..2 {
            let (scheduler_config, stopped) = (config.clone(), stop.clone());
            running
                .spawn(async move { process::scheduler::run(&scheduler_config, &stopped).await });
            let (worker_config, stopped) = (config.clone(), stop.clone());
            running.spawn(async move { process::worker::run(&worker_config, &stopped).await });
        }
        let stack = Self { server, database, exchange, stop, running };
        stack.wait_for_samples("at first").await;
        stack
    }

    /// Waits until two more slots are recorded.
    async fn wait_for_samples(&self, when: &str) {
        let before: usize = self.database.prices().await.len();
        eventually(SOON, &format!("recording {when}"), || async {
            self.database.prices().await.len() >= before + 2
        })
        .await;
    }

    /// Stops all roles in time and checks that no slot has two samples.
    async fn end(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, async {
            while let Some(ended) = self.running.join_next().await {
                ended.unwrap().unwrap();
            }
        });
        ended.await.expect("they stop in time");
        let prices = self.database.prices().await;
        let slots: BTreeSet<&str> =
            prices.iter().filter_map(|member| member.split(':').nth(1)).collect();
        assert_eq!(slots.len(), prices.len(), "a slot has two samples: {prices:?}");
    }
}

#[tokio::test]
async fn recording_recovers_after_redis_hangs() {
    let stack = Stack::start().await;
    stack.server.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(3)).await;
    stack.server.signal(Signal::SIGCONT);
    stack.wait_for_samples("after Redis hung").await;
    stack.end().await;
}

#[tokio::test]
async fn recording_recovers_after_redis_restarts_with_its_data() {
    let mut stack = Stack::start().await;
    let before = stack.database.prices().await;
    stack.server.kill();
    let requests = stack.exchange.request_count();
    sleep(Duration::from_secs(4)).await;
    stack.server.restart();
    stack.database.wait_until_ready().await;
    stack.wait_for_samples("after a restart").await;
    let after = stack.database.prices().await;
    assert!(after.starts_with(&before), "samples were lost: {before:?} {after:?}");
    let requests = stack.exchange.request_count() - requests;
    assert!(requests <= after.len() - before.len() + 4, "requests of stale jobs: {requests}");
    stack.end().await;
}

#[tokio::test]
async fn recording_recovers_after_redis_restarts_empty() {
    let mut stack = Stack::start().await;
    stack.server.kill();
    stack.server.wipe();
    stack.server.restart();
    stack.database.wait_until_ready().await;
    stack.wait_for_samples("after a wipe").await;
    stack.database.command::<()>(&["FLUSHALL"]).await;
    stack.wait_for_samples("after FLUSHALL").await;
    stack.database.command::<()>(&["SCRIPT", "FLUSH"]).await;
    stack.wait_for_samples("after SCRIPT FLUSH").await;
    stack.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    stack.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    stack.wait_for_samples("after CLIENT KILL").await;
    stack.end().await;
}

#[tokio::test]
async fn all_roles_stop_in_time_while_redis_is_unavailable() {
    let mut stack = Stack::start().await;
    stack.server.kill();
    stack.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(8), stack.running.join_all()).await;
    assert!(stopped.expect("in time").iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_slots_of_an_outage_are_recorded_with_a_reason() {
    let mut stack = Stack::start().await;
    let store = stack.database.store_of(Duration::from_secs(1));
    let history = History::new(store, UNLIMITED);
    stack.server.kill();
    let killed_at = Clock::machine().unix_seconds();
    sleep(Duration::from_secs(5)).await;
    stack.server.restart();
    stack.database.wait_until_ready().await;
    stack.wait_for_samples("after an outage").await;
    let outage = between(killed_at + 1, killed_at + 3);
    eventually(SOON, "the reasons are recorded", || async {
        history.refresh().await.unwrap();
        let coverage =
            history.coverage(&outage, Clock::machine().unix_seconds()).await.unwrap().value;
        coverage.missed.total() == 3 && coverage.missed.not_scheduled == 0
    })
    .await;
    stack.end().await;
}

#[tokio::test]
async fn recording_recovers_after_redis_refuses_writes() {
    let stack = Stack::start().await;
    stack.database.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    sleep(Duration::from_secs(2)).await;
    stack.database.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    stack.wait_for_samples("after Redis was out of memory").await;
    let port = free_port().to_string();
    stack.database.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    sleep(Duration::from_secs(2)).await;
    stack.database.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    stack.wait_for_samples("after Redis was a replica").await;
    stack.end().await;
}

#[tokio::test]
async fn an_outage_is_logged_once_when_it_starts_and_once_when_it_ends() {
    let (mut server, exchange) = (RedisServer::start(), FakeExchange::start().await);
    let database = server.ready_database().await;
    let (redis, source) = (server.url(), exchange.url.to_string());
    let environment = [
        ("REDIS_URL", redis.as_str()),
        ("COTIZA__SCHEDULE__EVERY", "1s"),
        ("COTIZA__SOURCES__BUENBIT__URL", source.as_str()),
        ("COTIZA__API__LISTEN", "127.0.0.1:0"),
        ("COTIZA__LOG__FORMAT", "json"),
    ];
    let processes = ["scheduler", "worker", "api"].map(|role| Cotiza::start(&[role], &environment));
    processes[2].wait_for_line("the API listens on ").await;
    eventually(SOON, "recording", || async { database.prices().await.len() >= 3 }).await;
    server.kill();
    for process in &processes {
        process.wait_for_line("Redis is unavailable").await;
    }
    sleep(Duration::from_secs(3)).await;
    server.restart();
    database.wait_until_ready().await;
    for process in &processes {
        let line: Value =
            serde_json::from_str(&process.wait_for_line("Redis is available again").await).unwrap();
        assert_eq!(line["redis"], server.url());
        assert!(line["lasted_s"].as_f64().is_some_and(|lasted| lasted >= 3.0), "{line}");
        let lines = process.lines();
        for text in ["Redis is unavailable", "Redis is available again"] {
            assert_eq!(lines.iter().filter(|line| line.contains(text)).count(), 1, "{lines:?}");
        }
        for repeated in ["starting a new one", "cannot enqueue a job", "cannot read changes"] {
            process.check_never_logged(repeated);
        }
    }
}
