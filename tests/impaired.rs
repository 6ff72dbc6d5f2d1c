//! A Redis that responds with errors: full, read-only, without permissions, busy. What can be read is
//! served, the rest is a 503, and recording continues afterwards.

use std::time::Duration;

use cotiza::{clock::Clock, config::Config, store::keys};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use crate::harness::{
    Api, Cotiza, Database, FakeExchange, RedisServer, SOON, eventually, members, samples,
};

/// A worker and a scheduler with slots of one second, on a Redis of their own.
struct System {
    _server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    processes: Vec<Cotiza>,
}

const PATHS: [&str; 9] = [
    "/api/average-price/?since=0&until=2000000000",
    "/api/ticker-list/",
    "/api/ticker-price/?timestamp=1700000000",
    "/api/latest/",
    "/api/coverage/",
    "/api/gaps/",
    "/api/sources/",
    "/health/ready",
    "/metrics",
];

impl System {
    async fn start() -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        let database = server.ready_database().await;
        let mut system = Self { _server: server, database, exchange, processes: Vec::new() };
        system.start_processes();
        system.wait_for_samples("at first").await;
        system
    }

    fn start_processes(&mut self) {
        for role in ["scheduler", "worker"] {
            let environment = [
                ("REDIS_URL", self.database.url.as_str()),
                ("COTIZA__SCHEDULE__EVERY", "1s"),
                ("COTIZA__PRICES__KEEP", "1day"),
                ("COTIZA__QUEUE__HOUSEKEEPING_EVERY", "1s"),
                ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
            ];
            self.processes.push(Cotiza::start(&[role], &environment));
        }
    }

    async fn wait_for_samples(&self, when: &str) {
        let newest = || async {
            let newest: Vec<(String, i64)> =
                self.database.command(&["ZRANGE", keys::PRICES, "-1", "-1", "WITHSCORES"]).await;
            newest.first().map_or(0, |(_, second)| *second)
        };
        let before = newest().await;
        eventually(SOON, &format!("recording {when}"), || async { newest().await >= before + 2 })
            .await;
    }

    async fn redis(&self, words: &[&str]) {
        self.database.command::<()>(words).await;
    }
}

/// Checks that each response is a 200, or a 503 with Retry-After.
async fn check_answers(api: &Api, what: &str) {
    for path in PATHS {
        let answer = api.get(path).await;
        match answer.status.as_u16() {
            200 => {}
            503 => assert!(answer.headers.contains_key("retry-after"), "{what}: {path}"),
            status => panic!("{what}: {path} is {status}: {}", answer.text),
        }
    }
}

/// A state in which Redis responds with an error, with the commands that begin and end it.
type State = (&'static str, &'static [&'static str], &'static [&'static str]);

const STATES: [State; 5] = [
    ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
    (
        "NOREPLICAS",
        &["CONFIG", "SET", "min-replicas-to-write", "1"],
        &["CONFIG", "SET", "min-replicas-to-write", "0"],
    ),
    ("READONLY", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    (
        "NOPERM",
        &["ACL", "SETUSER", "default", "-@write", "-hgetall", "-zcount", "-info"],
        &["ACL", "SETUSER", "default", "+@all"],
    ),
    ("NOAUTH", &["CONFIG", "SET", "requirepass", "x"], &["CONFIG", "SET", "requirepass", ""]),
];

/// Sends a command on an open connection, which stays authenticated.
async fn send(admin: &mut MultiplexedConnection, words: &[&str]) {
    redis::cmd(words[0]).arg(&words[1..]).query_async::<redis::Value>(admin).await.unwrap();
}

#[tokio::test]
async fn no_error_of_redis_causes_a_500_and_recording_continues_after_it() {
    let system = System::start().await;
    let api = Api::start(&system.database).await;
    for (name, begin, end) in STATES {
        let mut admin = system.database.client.get_multiplexed_async_connection().await.unwrap();
        send(&mut admin, begin).await;
        if name == "NOAUTH" {
            // Open connections are authenticated already.
            send(&mut admin, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        }
        for _ in 0..5 {
            check_answers(&api, name).await;
            sleep(Duration::from_millis(300)).await;
        }
        send(&mut admin, end).await;
        system.wait_for_samples(&format!("after {name}")).await;
        check_answers(&api, name).await;
    }
}

#[tokio::test]
async fn a_replica_without_its_master_causes_no_500() {
    let system = System::start().await;
    let api = Api::start(&system.database).await;
    system.redis(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await;
    system.redis(&["REPLICAOF", "127.0.0.1", "1"]).await;
    sleep(Duration::from_secs(1)).await;
    check_answers(&api, "MASTERDOWN").await;
    system.redis(&["REPLICAOF", "NO", "ONE"]).await;
    system.wait_for_samples("after MASTERDOWN").await;
}

#[tokio::test]
async fn a_busy_redis_causes_no_500() {
    let system = System::start().await;
    let api = Api::start(&system.database).await;
    system.redis(&["CONFIG", "SET", "busy-reply-threshold", "100"]).await;
    let client = system.database.client.clone();
    let busy = tokio::spawn(async move {
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut script = redis::cmd("EVAL");
        let _killed =
            script.arg("while true do end").arg(0).query_async::<()>(&mut connection).await;
    });
    sleep(Duration::from_secs(1)).await;
    check_answers(&api, "BUSY").await;
    system.redis(&["SCRIPT", "KILL"]).await;
    busy.await.unwrap();
    // The script ends shortly after the response to this command.
    system.database.wait_until_ready().await;
    system.wait_for_samples("after BUSY").await;
}

#[tokio::test]
async fn a_full_redis_can_be_read_and_housekeeping_frees_memory() {
    let mut system = System::start().await;
    let now = Clock::machine().unix_seconds();
    let old_samples = samples(now - 20 * 86_400).every(60).count(20_000).price("84000000.0");
    for process in std::mem::take(&mut system.processes) {
        process.end(Signal::SIGTERM, SOON).await;
    }
    system.database.put_prices(&members(&old_samples)).await;
    system.redis(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let used: String = system.database.command(&["INFO", "memory"]).await;
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let full = used.trim().parse::<u64>().unwrap() - 300_000;
    system.redis(&["CONFIG", "SET", "maxmemory", &full.to_string()]).await;
    // An api that starts now loads everything from the full Redis.
    let api = Api::start(&system.database).await;
    check_answers(&api, "full").await;
    let list = api.get("/api/ticker-list/").await.ok();
    assert!(list["count"].as_u64().unwrap() >= 20_000, "{list}");
    // Both processes are new: no worker is registered, and there are no jobs.
    system.start_processes();
    let old = (now - 86_400).div_euclid(3600) * 3600;
    eventually(SOON, "old samples are deleted", || async {
        let until = format!("({old}");
        system.database.command::<u64>(&["ZCOUNT", keys::PRICES, "-inf", &until]).await == 0
    })
    .await;
    system.wait_for_samples("in the freed memory").await;
    system.processes[1].wait_for_line("the memory of Redis is full").await;
}

#[tokio::test]
async fn members_and_keys_of_other_programs_are_ignored() {
    let database = Database::new().await;
    database
        .put_prices(&[
            ("1700000000", "1.5:1700000000"),
            ("+inf", "9.5"),
            ("-inf", "8.5"),
            ("1e300", "7.5"),
            ("-99999999999999", "6.5"),
            ("1700000010", "hello"),
            ("1700000020", "nan"),
            ("1700000030", "99999999999999999999999"),
        ])
        .await;
    database.command::<()>(&["SET", "another:program", "x"]).await;
    let api = Api::start(&database).await;
    for path in PATHS {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert_eq!(api.get("/api/ticker-list/").await.ok()["count"], 1);
}

#[tokio::test]
async fn a_key_of_another_type_is_a_503_until_it_is_deleted() {
    let database = Database::new().await;
    database.command::<()>(&["SET", keys::PRICES, "a string"]).await;
    let api = Api::unready(&database, &Config::default()).await;
    sleep(Duration::from_secs(1)).await;
    // Statistics of sources have keys of their own, and metrics are served with the available values.
    let others = ["/api/sources/", "/metrics"];
    for path in PATHS.iter().filter(|path| !others.contains(path)) {
        assert_eq!(api.get(path).await.status, 503, "{path}");
    }
    api.get("/health/live").await.ok();
    database.command::<()>(&["DEL", keys::PRICES]).await;
    eventually(SOON, "the API is ready", || async { api.get("/health/ready").await.status == 200 })
        .await;
    api.get("/health/live").await.ok();
}
