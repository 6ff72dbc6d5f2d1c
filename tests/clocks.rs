//! Wrong clocks of processes and of Redis, by libfaketime.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cotiza::{clock::Clock, store::keys};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::harness::{
    Cotiza, Database, FakeExchange, RedisServer, SOON, eventually, get_text, members, samples,
    wrong_clock,
};

const HOUR: i64 = 3600;

/// Cotiza with slots of one second, in which any process may have a wrong clock.
struct Chain {
    database: Database,
    exchange: FakeExchange,
}

impl Chain {
    async fn new(database: Database) -> Self {
        let exchange = FakeExchange::start().await;
        exchange.count_up();
        database.wait_until_ready().await;
        Self { database, exchange }
    }

    fn start(&self, arguments: &[&str], clock: &[(&'static str, String)]) -> Cotiza {
        let mut environment = vec![
            ("REDIS_URL", self.database.url.as_str()),
            ("COTIZA__SCHEDULE__EVERY", "1s"),
            ("COTIZA__QUEUE__HOUSEKEEPING_EVERY", "1s"),
            ("COTIZA__PRICES__KEEP", "1day"),
            ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
        ];
        environment.extend(clock.iter().map(|(name, value)| (*name, value.as_str())));
        Cotiza::start(arguments, &environment)
    }

    async fn wait_for_samples(&self, count: usize) {
        let before = self.database.prices().await.len();
        eventually(SOON, "recording", || async {
            self.database.prices().await.len() >= before + count
        })
        .await;
    }

    /// Checks that each sample has the second in which it was served, by the correct clock, and that no
    /// second has two samples.
    async fn check(&self) {
        let prices = self.database.prices().await;
        let served: BTreeMap<String, i64> = self.exchange.served().into_iter().collect();
        let mut seconds = BTreeSet::new();
        for member in &prices {
            let (price, second) = member.split_once(':').unwrap();
            assert!(seconds.insert(second), "slot {second} has two samples");
            let second: i64 = second.parse().unwrap();
            // Redis and the exchange use the clock of this machine.
            assert!((served[price] - second).abs() <= 1, "{member}: served at {}", served[price]);
        }
    }
}

fn now() -> i64 {
    Clock::machine().unix_seconds()
}

/// Counts the log lines that contain the text.
fn count(process: &Cotiza, text: &str) -> usize {
    process.lines().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn processes_with_a_wrong_clock_record_in_the_correct_slots_and_warn_once() {
    for (offset, direction) in
        [("-1h", "behind"), ("+1h", "ahead"), ("+3s", "ahead"), ("-2d", "behind"), ("+2d", "ahead")]
    {
        let Some(clock) = wrong_clock(offset) else { return };
        let chain = Chain::new(Database::new().await).await;
        let processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &clock));
        chain.wait_for_samples(4).await;
        chain.check().await;
        for process in processes {
            let line = process.wait_for_line(" the clock of Redis").await;
            assert!(line.contains(direction), "{offset}: {line}");
            assert_eq!(count(&process, "the clock of Redis"), 1, "{offset}");
        }
    }
}

#[tokio::test]
async fn a_worker_with_a_wrong_clock_disturbs_no_other_worker_and_its_jobs_are_taken_over() {
    let (Some(ahead), Some(behind)) = (wrong_clock("+3s"), wrong_clock("-1h")) else { return };
    let chain = Chain::new(Database::new().await).await;
    let scheduler = chain.start(&["scheduler"], &wrong_clock("+1h").unwrap());
    let right = [chain.start(&["worker"], &[]), chain.start(&["worker"], &[])];
    let wrong = [chain.start(&["worker"], &ahead), chain.start(&["worker"], &behind)];
    chain.wait_for_samples(8).await;
    for process in right.iter().chain(&wrong) {
        process.check_never_logged("starting a new one");
        process.check_never_logged("workers send no heartbeats");
    }
    for process in wrong {
        process.end(Signal::SIGKILL, SOON).await;
    }
    chain.wait_for_samples(3).await;
    let reports =
        || right.iter().map(|process| count(process, "workers send no heartbeats")).sum::<usize>();
    eventually(SOON, "the dead workers are detected", || async { reports() > 0 }).await;
    chain.check().await;
    drop(scheduler);
}

#[tokio::test]
async fn housekeeping_by_a_worker_two_days_ahead_deletes_only_old_samples() {
    let Some(clock) = wrong_clock("+2d") else { return };
    let chain = Chain::new(Database::new().await).await;
    let start = now() - 30 * HOUR;
    let old_samples = samples(start).every(360).count(300).price("84000000.0");
    chain.database.put_prices(&members(&old_samples)).await;
    let _processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &clock));
    let cutoff = (now() - 24 * HOUR).div_euclid(HOUR) * HOUR;
    let old = || async {
        let (from, until) = ("-inf", format!("({cutoff}"));
        chain.database.command::<u64>(&["ZCOUNT", keys::PRICES, from, &until]).await
    };
    eventually(SOON, "samples older than a day are deleted", || async { old().await == 0 }).await;
    sleep(Duration::from_secs(3)).await;
    let kept: u64 = chain
        .database
        .command(&["ZCOUNT", keys::PRICES, &cutoff.to_string(), &(start + 300 * 360).to_string()])
        .await;
    let valid = old_samples.iter().filter(|(second, _)| *second >= cutoff).count();
    assert!(kept >= valid as u64, "{kept} of {valid} valid samples are left");
}

#[tokio::test]
async fn recording_follows_the_clock_of_redis_when_it_is_set_by_an_hour() {
    for by in [HOUR, -HOUR] {
        let server = RedisServer::with_settable_clock();
        let chain = Chain::new(server.database()).await;
        // A sample of the next hour to be deleted, at most an hour from now.
        let old = (now() + 60 - 24 * HOUR).div_euclid(HOUR) * HOUR + 10;
        chain.database.put_prices(&[(old.to_string(), format!("84000000.0:{old}"))]).await;
        let worker = chain.start(&["worker"], &[]);
        let api = chain.start(&["api", "--listen", "127.0.0.1:0"], &[]);
        let _scheduler = chain.start(&["scheduler"], &[]);
        chain.wait_for_samples(3).await;
        let before = chain.database.prices().await;
        server.set_clock(by);
        let jumped = || async {
            let newest: Vec<String> =
                chain.database.command(&["ZRANGE", keys::PRICES, "0", "-1", "WITHSCORES"]).await;
            let seconds = newest.chunks(2).map(|pair| pair[1].parse::<i64>().unwrap());
            seconds.filter(|second| (second - now() - by).abs() < 60).count() >= 4
        };
        eventually(SOON, "samples follow the clock of Redis", jumped).await;
        let after: BTreeSet<String> = chain.database.prices().await.into_iter().collect();
        assert!(before.iter().all(|member| after.contains(member)), "{by}: samples were deleted");
        let seconds: BTreeSet<&str> =
            after.iter().filter_map(|member| member.split(':').nth(1)).collect();
        assert_eq!(seconds.len(), after.len(), "{by}: a slot has two samples");
        worker.wait_for_line("the clock of Redis was set by").await;
        assert_eq!(count(&worker, "the clock of Redis was set by"), 1);
        worker.check_never_logged("workers send no heartbeats");
        let line = api.wait_for_line("the API listens on ").await;
        let url = format!("http://{}", line.rsplit(' ').next().unwrap());
        let metrics = get_text(&format!("{url}/metrics")).await.unwrap();
        assert!(metrics.contains("cotiza_clock_jumps_total 1"), "{metrics}");
    }
}

#[tokio::test]
async fn an_api_with_a_wrong_clock_uses_the_clock_of_redis() {
    let Some(clock) = wrong_clock("+1h") else { return };
    let chain = Chain::new(Database::new().await).await;
    let _processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &[]));
    let api = chain.start(&["api", "--listen", "127.0.0.1:0"], &clock);
    chain.wait_for_samples(3).await;
    let line = api.wait_for_line("the API listens on ").await;
    let url = format!("http://{}", line.rsplit(' ').next().unwrap());
    let answer = |path: &'static str| {
        let url = format!("{url}{path}");
        async move { get_text(&url).await.unwrap() }
    };
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    eventually(SOON, "the API is ready", || async { answer("/health/ready").await.contains("ok") })
        .await;
    let coverage = json(answer("/api/coverage/").await);
    assert!(coverage["missed"].as_u64().unwrap() < 10, "{coverage}");
    let ready = json(answer("/health/ready").await);
    let skew = ready["clock_skew"].as_f64().unwrap();
    assert!((skew - 3600.0).abs() < 1.0, "{ready}");
    assert!((ready["known_until"].as_i64().unwrap() - now()).abs() < 5, "{ready}");
    let metrics = answer("/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("cotiza_clock_skew_seconds{"));
    let skew: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((skew - 3600.0).abs() < 1.0, "{metrics}");
}
