//! A Redis that stalls, restarts or stays away: recording goes on by itself, no slot is double.

use std::{collections::BTreeSet, time::Duration};

use cotiza::{
    clock::Clock,
    config::Config,
    domain::{TimeRange, UnixTime},
    history::History,
    process,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::harness::{Cotiza, Database, FakeExchange, LIMITS, RedisServer, SOON, eventually};

/// Two schedulers and two workers of this process, with a slot a second, on a Redis of their own.
struct Plant {
    server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
}

impl Plant {
    async fn start() -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        let database = server.database();
        database.answers().await;
        let mut config = Config::default();
        config.schedule.every = Duration::from_secs(1);
        config.redis.url = server.url();
        config.sources = exchange.config();
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        for _ in 0..2 {
            let (of_scheduler, told) = (config.clone(), stop.clone());
            running.spawn(async move { process::scheduler::run(&of_scheduler, &told).await });
            let (of_worker, told) = (config.clone(), stop.clone());
            running.spawn(async move { process::worker::run(&of_worker, &told).await });
        }
        let plant = Self { server, database, exchange, stop, running };
        plant.records("at first").await;
        plant
    }

    /// Waits until two more slots are recorded.
    async fn records(&self, when: &str) {
        let before: usize = self.database.prices().await.len();
        eventually(SOON, &format!("recording {when}"), || async {
            self.database.prices().await.len() >= before + 2
        })
        .await;
    }

    /// Stops all of it, in time, and checks that each sample has a slot of its own.
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
        assert_eq!(slots.len(), prices.len(), "a slot is double: {prices:?}");
    }
}

#[tokio::test]
async fn a_stall_is_survived() {
    let plant = Plant::start().await;
    plant.server.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(3)).await;
    plant.server.signal(Signal::SIGCONT);
    plant.records("after a stall").await;
    plant.end().await;
}

#[tokio::test]
async fn a_killed_redis_that_comes_back_with_its_data_is_used_again() {
    let mut plant = Plant::start().await;
    let before = plant.database.prices().await;
    plant.server.kill();
    let asked = plant.exchange.asked();
    sleep(Duration::from_secs(4)).await;
    plant.server.restart();
    plant.database.answers().await;
    plant.records("after a restart").await;
    let after = plant.database.prices().await;
    assert!(after.starts_with(&before), "history is lost: {before:?} {after:?}");
    let asked = plant.exchange.asked() - asked;
    assert!(asked <= after.len() - before.len() + 4, "a burst of stale jobs: {asked}");
    plant.end().await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_used_again() {
    let mut plant = Plant::start().await;
    plant.server.kill();
    plant.server.wipe();
    plant.server.restart();
    plant.database.answers().await;
    plant.records("after a wipe").await;
    plant.database.command::<()>(&["FLUSHALL"]).await;
    plant.records("after FLUSHALL").await;
    plant.database.command::<()>(&["SCRIPT", "FLUSH"]).await;
    plant.records("after SCRIPT FLUSH").await;
    plant.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    plant.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    plant.records("after CLIENT KILL").await;
    plant.end().await;
}

#[tokio::test]
async fn all_stop_in_time_while_redis_is_away() {
    let mut plant = Plant::start().await;
    plant.server.kill();
    plant.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(8), plant.running.join_all()).await;
    assert!(stopped.expect("in time").iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_slots_of_an_outage_are_in_the_ledger_with_their_reason() {
    let mut plant = Plant::start().await;
    let store = plant.database.store_of(Duration::from_secs(1));
    let history = History::new(store, LIMITS);
    plant.server.kill();
    let away = Clock::machine().unix_seconds();
    sleep(Duration::from_secs(5)).await;
    plant.server.restart();
    plant.database.answers().await;
    plant.records("after an outage").await;
    let at = |second| Some(UnixTime::from_seconds(second));
    let outage = TimeRange::new(at(away + 1), at(away + 3)).unwrap();
    eventually(SOON, "the ledger knows", || async {
        history.refresh().await.unwrap();
        let coverage =
            history.coverage(&outage, Clock::machine().unix_seconds()).await.unwrap().value;
        coverage.missed.total() == 3 && coverage.missed.not_scheduled == 0
    })
    .await;
    plant.end().await;
}

#[tokio::test]
async fn refused_writes_are_survived() {
    let plant = Plant::start().await;
    plant.database.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    sleep(Duration::from_secs(2)).await;
    plant.database.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    plant.records("after out of memory").await;
    let port = crate::harness::free_port().to_string();
    plant.database.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    sleep(Duration::from_secs(2)).await;
    plant.database.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    plant.records("after having been a replica").await;
    plant.end().await;
}

#[tokio::test]
async fn an_outage_is_one_line_when_it_starts_and_one_when_it_ends() {
    let (mut server, exchange) = (RedisServer::start(), FakeExchange::start().await);
    let database = server.database();
    database.answers().await;
    let (redis, source) = (server.url(), exchange.url.to_string());
    let environment = [
        ("REDIS_URL", redis.as_str()),
        ("COTIZA__SCHEDULE__EVERY", "1s"),
        ("COTIZA__SOURCES__BUENBIT__URL", source.as_str()),
        ("COTIZA__API__LISTEN", "127.0.0.1:0"),
        ("COTIZA__LOG__FORMAT", "json"),
    ];
    let processes = ["scheduler", "worker", "api"].map(|role| Cotiza::start(&[role], &environment));
    processes[2].says("the API listens on ").await;
    eventually(SOON, "recording", || async { database.prices().await.len() >= 3 }).await;
    server.kill();
    for process in &processes {
        process.says("Redis is away").await;
    }
    sleep(Duration::from_secs(3)).await;
    server.restart();
    database.answers().await;
    for process in &processes {
        let line: Value = serde_json::from_str(&process.says("Redis is back").await).unwrap();
        assert_eq!(line["redis"], server.url());
        assert!(line["lasted_s"].as_f64().is_some_and(|lasted| lasted >= 3.0), "{line}");
        let lines = process.lines();
        for text in ["Redis is away", "Redis is back"] {
            assert_eq!(lines.iter().filter(|line| line.contains(text)).count(), 1, "{lines:?}");
        }
        for repeated in ["starting it again", "enqueueing again", "cannot follow"] {
            assert!(!lines.iter().any(|line| line.contains(repeated)), "{lines:?}");
        }
    }
}
