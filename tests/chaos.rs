//! Chaos: real processes are killed, stopped and paused, Redis and the exchange fail, at random
//! from a seed that is printed; then the books are checked against the exchange's own.
//!
//! A minute by default; `make chaos MINUTES=10 SEED=42` runs it longer, or again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cotiza::{
    clock::Clock,
    domain::{Coverage, Slots, TimeRange},
    history::History,
};
use fastrand::Rng;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::harness::{
    Cotiza, Database, FakeExchange, LIMITS, RedisServer, SOON, eventually, setting,
};

struct Chaos {
    rng: Rng,
    server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    members: Vec<(&'static str, Cotiza)>,
}

impl Chaos {
    async fn start(seed: u64) -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        exchange.counts_up();
        let database = server.database();
        database.answers().await;
        let mut chaos =
            Self { rng: Rng::with_seed(seed), server, database, exchange, members: Vec::new() };
        for role in ["scheduler", "worker"].repeat(3) {
            let member = chaos.member(role);
            chaos.members.push((role, member));
        }
        chaos
    }

    fn member(&self, role: &str) -> Cotiza {
        let url = self.server.url();
        Cotiza::start(
            &[role],
            &[
                ("REDIS_URL", &url),
                ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
                ("COTIZA__SCHEDULE__EVERY", "1s"),
                ("COTIZA__QUEUE__KEEP_DONE", "5s"),
                ("COTIZA__QUEUE__KEEP_DEAD", "5s"),
                ("COTIZA__QUEUE__HOUSEKEEPING_EVERY", "2s"),
                ("COTIZA__LOG__LEVEL", "error"),
            ],
        )
    }

    /// One thing that goes wrong, and is over when this returns.
    async fn go_wrong(&mut self) {
        let time = Duration::from_millis(self.rng.u64(500..3000));
        match self.rng.u32(0..12) {
            0..=2 => self.replace(Signal::SIGKILL).await,
            3 => self.replace(Signal::SIGTERM).await,
            4..=5 => self.pause(time).await,
            6 => {
                self.server.signal(Signal::SIGSTOP);
                sleep(time).await;
                self.server.signal(Signal::SIGCONT);
            }
            7 => {
                self.server.kill();
                sleep(time).await;
                self.server.restart();
                self.database.answers().await;
            }
            8 => {
                self.database.command::<()>(&["SCRIPT", "FLUSH"]).await;
                self.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
            9 => self.exchange_fails(Duration::ZERO, 500, time).await,
            10 => self.exchange_fails(Duration::from_secs(2), 200, time).await,
            _ => self.exchange_fails(Duration::ZERO, 200, time).await,
        }
    }

    async fn replace(&mut self, signal: Signal) {
        let at = self.rng.usize(0..self.members.len());
        let (role, member) = self.members.swap_remove(at);
        let limit = Duration::from_secs(9);
        member.end(signal, limit).await;
        let another = self.member(role);
        self.members.push((role, another));
    }

    async fn pause(&mut self, time: Duration) {
        let at = self.rng.usize(0..self.members.len());
        self.members[at].1.signal(Signal::SIGSTOP);
        sleep(time).await;
        self.members[at].1.signal(Signal::SIGCONT);
    }

    async fn exchange_fails(&self, latency: Duration, status: u16, time: Duration) {
        self.exchange.answers(latency, status, "rubbish");
        sleep(time).await;
        self.exchange.counts_up();
    }

    async fn coverage(&self) -> Coverage {
        let slots = Slots::new(Duration::from_secs(1)).unwrap();
        let store = self.database.store_of(slots.length());
        let history = History::new(store, LIMITS);
        history.refresh().await.unwrap();
        history
            .coverage(&TimeRange::default(), Clock::machine().unix_seconds())
            .await
            .unwrap()
            .value
    }

    /// Each stored sample was served once, in its second, and no second has two.
    async fn check_samples(&self) -> usize {
        let mut seconds = BTreeSet::new();
        // In this order: what is recorded meanwhile was served meanwhile.
        let prices = self.database.prices().await;
        let served: BTreeMap<String, i64> = self.exchange.served().into_iter().collect();
        for member in &prices {
            let (price, second) = member.split_once(':').unwrap();
            let second: i64 = second.parse().unwrap();
            assert!(seconds.insert(second), "the slot {second} is double");
            assert_eq!(served.get(price), Some(&second), "{member} was not served in its slot");
        }
        prices.len()
    }

    async fn check_bounds(&self) {
        for queue in ["fetch_btc_ars", "housekeeping"] {
            let data = format!("{queue}:data");
            eventually(SOON, "finished jobs are forgotten", || async {
                self.database.command::<u64>(&["HLEN", &data]).await <= 25
            })
            .await;
        }
        eventually(SOON, "gone workers are forgotten", || async {
            let names = "*:workers:metadata:*";
            self.database.command::<Vec<String>>(&["KEYS", names]).await.len() <= 12
        })
        .await;
    }
}

#[tokio::test]
async fn whatever_fails_no_slot_is_double_and_each_missing_one_has_a_reason() {
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let time = Duration::from_secs(60 * setting("CHAOS_MINUTES").unwrap_or(1));
    println!("chaos: seed {seed}, {time:?}");
    let mut chaos = Chaos::start(seed).await;
    eventually(SOON, "it records", || async { !chaos.database.prices().await.is_empty() }).await;
    let (end, mut faults) = (Instant::now() + time, 0);
    while Instant::now() < end {
        chaos.go_wrong().await;
        faults += 1;
        let pause = Duration::from_millis(chaos.rng.u64(200..2000));
        sleep(pause).await;
    }
    // All is well again: it records, and what is still to be told is told.
    let before = chaos.check_samples().await;
    eventually(SOON, "it records again", || async {
        chaos.database.prices().await.len() >= before + 5
    })
    .await;
    chaos.check_samples().await;
    chaos.check_bounds().await;
    let coverage = chaos.coverage().await;
    println!("chaos: {faults} faults, {coverage:?}");
    let Coverage { expected, recorded, missed, pending } = &coverage;
    assert_eq!(*expected, recorded + missed.total() + pending, "{coverage:?}");
    assert!(missed.not_scheduled * 4 <= *expected, "too many slots nobody tells of: {coverage:?}");
    assert!(recorded * 4 >= *expected, "too little was recorded: {coverage:?}");
}
