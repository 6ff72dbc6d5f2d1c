//! Wrong clocks, by libfaketime: those of processes, and that of Redis.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cotiza::clock::Clock;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::harness::{
    Cotiza, Database, FakeExchange, RedisServer, SOON, eventually, get_text, wrong_clock,
};

const HOUR: i64 = 3600;

/// A chain with a slot a second, any part of which may have a wrong clock.
struct Chain {
    database: Database,
    exchange: FakeExchange,
}

impl Chain {
    async fn new(database: Database) -> Self {
        let exchange = FakeExchange::start().await;
        exchange.counts_up();
        database.answers().await;
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

    async fn records(&self, count: usize) {
        let before = self.database.prices().await.len();
        eventually(SOON, "recording", || async {
            self.database.prices().await.len() >= before + count
        })
        .await;
    }

    /// Each sample is in the second in which it was served, by the right clock, and no second has two.
    async fn check(&self) {
        let prices = self.database.prices().await;
        let served: BTreeMap<String, i64> = self.exchange.served().into_iter().collect();
        let mut seconds = BTreeSet::new();
        for member in &prices {
            let (price, second) = member.split_once(':').unwrap();
            assert!(seconds.insert(second), "the slot {second} is double");
            let second: i64 = second.parse().unwrap();
            // The clocks of Redis and of the exchange are those of this machine.
            assert!((served[price] - second).abs() <= 1, "{member}: served at {}", served[price]);
        }
    }
}

fn now() -> i64 {
    Clock::machine().unix_seconds()
}

/// The lines that contain the text.
fn count(process: &Cotiza, text: &str) -> usize {
    process.lines().iter().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_host_with_a_wrong_clock_records_in_the_right_slots_and_says_so_once() {
    for (offset, said) in
        [("-1h", "behind"), ("+1h", "ahead"), ("+3s", "ahead"), ("-2d", "behind"), ("+2d", "ahead")]
    {
        let Some(clock) = wrong_clock(offset) else { return };
        let chain = Chain::new(Database::new().await).await;
        let processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &clock));
        chain.records(4).await;
        chain.check().await;
        for process in processes {
            let line = process.says(" the clock of Redis").await;
            assert!(line.contains(said), "{offset}: {line}");
            assert_eq!(count(&process, "the clock of Redis"), 1, "{offset}");
        }
    }
}

#[tokio::test]
async fn a_worker_with_a_wrong_clock_disturbs_no_other_one_and_its_jobs_are_taken_over() {
    let (Some(ahead), Some(behind)) = (wrong_clock("+3s"), wrong_clock("-1h")) else { return };
    let chain = Chain::new(Database::new().await).await;
    let scheduler = chain.start(&["scheduler"], &wrong_clock("+1h").unwrap());
    let right = [chain.start(&["worker"], &[]), chain.start(&["worker"], &[])];
    let wrong = [chain.start(&["worker"], &ahead), chain.start(&["worker"], &behind)];
    chain.records(8).await;
    for process in right.iter().chain(&wrong) {
        assert_eq!(count(process, "starting it again"), 0, "{:?}", process.lines());
        assert_eq!(count(process, "workers are silent"), 0, "{:?}", process.lines());
    }
    for process in wrong {
        process.end(Signal::SIGKILL, SOON).await;
    }
    chain.records(3).await;
    let silent = || right.iter().map(|process| count(process, "workers are silent")).sum::<usize>();
    eventually(SOON, "the dead workers are noticed", || async { silent() > 0 }).await;
    chain.check().await;
    drop(scheduler);
}

#[tokio::test]
async fn housekeeping_by_a_worker_two_days_ahead_deletes_only_what_is_old() {
    let Some(clock) = wrong_clock("+2d") else { return };
    let chain = Chain::new(Database::new().await).await;
    let start = now() - 30 * HOUR;
    for n in 0..300_i64 {
        let second = start + n * 360;
        let member = format!("84000000.0:{second}");
        chain.database.put_prices(&[(&second.to_string(), &member)]).await;
    }
    let _processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &clock));
    let border = (now() - 24 * HOUR).div_euclid(HOUR) * HOUR;
    let old = || async {
        let (from, until) = ("-inf", format!("({border}"));
        chain.database.command::<u64>(&["ZCOUNT", "prices", from, &until]).await
    };
    eventually(SOON, "what is older than a day is deleted", || async { old().await == 0 }).await;
    sleep(Duration::from_secs(3)).await;
    let kept: u64 = chain
        .database
        .command(&["ZCOUNT", "prices", &border.to_string(), &(start + 300 * 360).to_string()])
        .await;
    let valid = (0..300).filter(|n| start + n * 360 >= border).count();
    assert!(kept >= valid as u64, "{kept} of {valid} valid samples are left");
}

#[tokio::test]
async fn the_clock_of_redis_may_be_set_by_an_hour() {
    for by in [HOUR, -HOUR] {
        let server = RedisServer::with_settable_clock();
        let chain = Chain::new(server.database()).await;
        // The next hour that will be deleted, an hour from now at the latest.
        let old = (now() + 60 - 24 * HOUR).div_euclid(HOUR) * HOUR + 10;
        chain.database.put_prices(&[(&old.to_string(), &format!("84000000.0:{old}"))]).await;
        let worker = chain.start(&["worker"], &[]);
        let api = chain.start(&["api", "--listen", "127.0.0.1:0"], &[]);
        let _scheduler = chain.start(&["scheduler"], &[]);
        chain.records(3).await;
        let before = chain.database.prices().await;
        server.set_clock(by);
        let jumped = || async {
            let newest: Vec<String> =
                chain.database.command(&["ZRANGE", "prices", "0", "-1", "WITHSCORES"]).await;
            let seconds = newest.chunks(2).map(|pair| pair[1].parse::<i64>().unwrap());
            seconds.filter(|second| (second - now() - by).abs() < 60).count() >= 4
        };
        eventually(SOON, "it records by the clock of Redis", jumped).await;
        let after: BTreeSet<String> = chain.database.prices().await.into_iter().collect();
        assert!(before.iter().all(|member| after.contains(member)), "{by}: deleted");
        let seconds: BTreeSet<&str> =
            after.iter().filter_map(|member| member.split(':').nth(1)).collect();
        assert_eq!(seconds.len(), after.len(), "{by}: a slot is double");
        worker.says("the clock of Redis was set by").await;
        assert_eq!(count(&worker, "the clock of Redis was set by"), 1);
        assert_eq!(count(&worker, "workers are silent"), 0);
        let line = api.says("the API listens on ").await;
        let url = format!("http://{}", line.rsplit(' ').next().unwrap());
        let metrics = get_text(&format!("{url}/metrics")).await.unwrap();
        assert!(metrics.contains("cotiza_clock_jumps_total 1"), "{metrics}");
    }
}

#[tokio::test]
async fn an_api_with_a_wrong_clock_counts_by_the_clock_of_redis() {
    let Some(clock) = wrong_clock("+1h") else { return };
    let chain = Chain::new(Database::new().await).await;
    let _processes = [&["worker"][..], &["scheduler"]].map(|role| chain.start(role, &[]));
    let api = chain.start(&["api", "--listen", "127.0.0.1:0"], &clock);
    chain.records(3).await;
    let line = api.says("the API listens on ").await;
    let url = format!("http://{}", line.rsplit(' ').next().unwrap());
    let answer = |path: &'static str| {
        let url = format!("{url}{path}");
        async move { get_text(&url).await.unwrap() }
    };
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    eventually(SOON, "it is ready", || async { answer("/health/ready").await.contains("ok") })
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
