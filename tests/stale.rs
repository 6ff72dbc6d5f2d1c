//! Redis is unavailable: recorded samples can still be read, and no request hangs.

use std::time::{Duration, Instant};

use cotiza::config::Config;
use nix::sys::signal::Signal;

use crate::harness::{Api, RedisServer, SOON, eventually};

const HEADER: &str = "cotiza-known-until";
/// A range that ended long ago.
const ENDED: &str = "/api/average-price/?since=1700000000&until=1700003600";
/// Paths that are answered from memory and whose response may have changed.
const OPEN: [&str; 7] = [
    "/api/average-price/?since=0&until=9999999999",
    "/api/ticker-list/?page=last",
    "/api/latest/",
    "/api/ticker-price/?timestamp=2000000000",
    "/api/v3/simple/price?ids=bitcoin&vs_currencies=ars",
    "/api/v3/coins/bitcoin/market_chart?vs_currency=ars&days=max",
    "/api/v3/coins/bitcoin/ohlc?vs_currency=ars&days=max",
];

async fn api(server: &RedisServer, stale_for: Duration) -> Api {
    let database = server.ready_database().await;
    database
        .record(&[(1_700_000_000, "1.5"), (1_700_000_010, "2.5"), (1_700_100_000, "3.5")])
        .await;
    let mut config = Config::default();
    config.api.stale_for = stale_for;
    Api::with_config(&database, &config).await
}

#[tokio::test]
async fn responses_from_memory_are_marked_if_they_may_have_changed() {
    let mut server = RedisServer::start();
    let api = api(&server, SOON * 10).await;
    let before = api.get(OPEN[0]).await;
    assert!(before.headers.get(HEADER).is_none());
    server.kill();
    eventually(SOON, "it is stale", || async {
        api.get("/health/ready").await.ok()["status"] == "stale"
    })
    .await;
    let known_until = api.get("/health/ready").await.ok()["known_until"].as_i64().unwrap();
    for path in OPEN {
        let answer = api.get(path).await;
        answer.ok();
        assert_eq!(answer.headers[HEADER], known_until.to_string().as_str(), "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    assert_eq!(api.get(OPEN[0]).await.text, before.text);
    let ended = api.get(ENDED).await;
    assert_eq!((ended.ok()["count"].as_u64(), ended.headers.get(HEADER)), (Some(2), None));
    let ended = api.get("/api/ticker-list/?until=1700000005").await;
    assert_eq!((ended.ok()["count"].as_u64(), ended.headers.get(HEADER)), (Some(1), None));
    api.get("/api/sources/").await.problem(503);
    api.get("/health/live").await.ok();

    server.restart();
    eventually(SOON, "it is current again", || async {
        api.get("/health/ready").await.ok()["status"] == "ok"
    })
    .await;
    assert!(api.get(OPEN[0]).await.headers.get(HEADER).is_none());
}

/// The response for a range may depend on the rest of its last candle or slot, too.
#[tokio::test]
async fn a_response_is_marked_if_its_last_candle_or_slot_may_have_changed() {
    let mut server = RedisServer::start();
    let database = server.ready_database().await;
    let hour = 3600;
    let now = database.now().await;
    let begin = now.div_euclid(hour) * hour - 2 * hour;
    database.record(&[(begin, "1.5"), (begin + hour, "2.5")]).await;
    let mut config = Config::default();
    config.schedule.every = Duration::from_hours(1);
    config.api.stale_for = SOON * 10;
    let api = Api::with_config(&database, &config).await;
    server.kill();
    eventually(SOON, "it is stale", || async {
        api.get("/health/ready").await.ok()["status"] == "stale"
    })
    .await;
    let known_until = api.get("/health/ready").await.ok()["known_until"].as_i64().unwrap();
    // The start of the slot in which Redis was last reached, which is the end of the slot before.
    let open = known_until.div_euclid(hour) * hour;
    for (path, is_marked) in [
        (format!("/api/summary/?since={begin}&until={open}"), true),
        (format!("/api/summary/?since={begin}&until={}", open - 1), false),
        (format!("/api/candles/?interval=1h&since={begin}&until={open}"), true),
        (format!("/api/candles/?interval=1h&since={begin}&until={}", open - 1), false),
        (format!("/api/candles/?interval=1200M&until={}", begin + 1), true),
        // No slot was missed, so the reasons, which only Redis stores, are not needed.
        (format!("/api/coverage/?since={begin}&until={}", begin + 1), false),
        (format!("/api/gaps/?since={begin}&until={}", begin + 1), false),
    ] {
        let answer = api.get(&path).await;
        answer.ok();
        assert_eq!(answer.headers.contains_key(HEADER), is_marked, "{path}");
    }
}

#[tokio::test]
async fn after_stale_for_only_responses_that_cannot_have_changed_are_sent() {
    let mut server = RedisServer::start();
    let api = api(&server, Duration::from_secs(2)).await;
    server.kill();
    eventually(SOON, "it is no longer ready", || async {
        api.get("/health/ready").await.status == 503
    })
    .await;
    for path in OPEN {
        let answer = api.get(path).await;
        answer.problem(503);
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
    }
    assert_eq!(api.get(ENDED).await.ok()["count"], 2);
    server.restart();
    eventually(SOON, "ready again", || async { api.get("/health/ready").await.status == 200 })
        .await;
    api.get(OPEN[0]).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_receive_responses_while_redis_hangs() {
    let server = RedisServer::start();
    let api = &api(&server, SOON).await;
    server.signal(Signal::SIGSTOP);
    let client = |n: usize| async move {
        let (mut memory, mut redis) = (Duration::ZERO, Duration::ZERO);
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            let started = Instant::now();
            api.get(OPEN[n % OPEN.len()]).await.ok();
            memory = memory.max(started.elapsed());
            if n.is_multiple_of(10) {
                let started = Instant::now();
                api.get("/api/sources/").await.problem(503);
                redis = redis.max(started.elapsed());
            }
        }
        (memory, redis)
    };
    let slowest = futures_util::future::join_all((0..50).map(client)).await;
    server.signal(Signal::SIGCONT);
    let memory = slowest.iter().map(|(memory, _)| *memory).max().unwrap();
    let redis = slowest.iter().map(|(_, redis)| *redis).max().unwrap();
    println!("slowest response: from memory {memory:?}, with Redis {redis:?}");
    // The limits allow for a busy machine; they fail if a request waits for Redis until a timeout.
    assert!(memory < Duration::from_secs(1), "{memory:?}");
    assert!(redis < Duration::from_secs(4), "{redis:?}");
}

#[tokio::test]
async fn no_prices_are_served_before_the_samples_are_loaded() {
    let server = RedisServer::start();
    let database = server.ready_database().await;
    server.signal(Signal::SIGSTOP);
    let api = Api::unready(&database, &Config::default()).await;
    api.get(ENDED).await.problem(503);
    api.get("/health/ready").await.problem(503);
    api.get("/health/live").await.ok();
    server.signal(Signal::SIGCONT);
    eventually(SOON, "it is ready", || async { api.get("/health/ready").await.status == 200 })
        .await;
    api.get(ENDED).await.ok();
}
