//! Chaos test: kills, stops and pauses real processes and makes Redis and the exchange fail, at random
//! from a printed seed. Then it compares the samples with the prices that the exchange served.
//!
//! It runs for a minute by default; `make chaos MINUTES=10 SEED=42` runs it longer, or repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cotiza::{
    clock::Clock,
    domain::{Coverage, TimeRange},
    history::History,
};
use fastrand::Rng;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::harness::{
    Cotiza, Database, FakeExchange, RedisServer, SOON, UNLIMITED, env_number, eventually, slots_of,
};

struct Chaos {
    rng: Rng,
    server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    processes: Vec<(&'static str, Cotiza)>,
}

impl Chaos {
    async fn start(seed: u64) -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        exchange.count_up();
        let database = server.ready_database().await;
        let mut chaos =
            Self { rng: Rng::with_seed(seed), server, database, exchange, processes: Vec::new() };
        for role in ["scheduler", "worker"].repeat(3) {
            let process = chaos.start_process(role);
            chaos.processes.push((role, process));
        }
        chaos
    }

    fn start_process(&self, role: &str) -> Cotiza {
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

    /// Causes one random fault, which is over when this returns.
    async fn cause_fault(&mut self) {
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
                self.database.wait_until_ready().await;
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
        let at = self.rng.usize(0..self.processes.len());
        let (role, process) = self.processes.swap_remove(at);
        let limit = Duration::from_secs(9);
        process.end(signal, limit).await;
        let another = self.start_process(role);
        self.processes.push((role, another));
    }

    async fn pause(&mut self, time: Duration) {
        let at = self.rng.usize(0..self.processes.len());
        self.processes[at].1.signal(Signal::SIGSTOP);
        sleep(time).await;
        self.processes[at].1.signal(Signal::SIGCONT);
    }

    async fn exchange_fails(&self, latency: Duration, status: u16, time: Duration) {
        self.exchange.set_response(latency, status, "rubbish");
        sleep(time).await;
        self.exchange.count_up();
    }

    async fn coverage(&self) -> Coverage {
        let slots = slots_of(1);
        let store = self.database.store_of(slots.length());
        let history = History::new(store, UNLIMITED);
        history.refresh().await.unwrap();
        history
            .coverage(&TimeRange::default(), Clock::machine().unix_seconds())
            .await
            .unwrap()
            .value
    }

    /// Checks that each sample was served in its second and that no second has two samples. Returns their
    /// number.
    async fn check_samples(&self) -> usize {
        let mut seconds = BTreeSet::new();
        // The samples are read first, so that all of them were served before the served prices are read.
        let prices = self.database.prices().await;
        let served: BTreeMap<String, i64> = self.exchange.served().into_iter().collect();
        for member in &prices {
            let (price, second) = member.split_once(':').unwrap();
            let second: i64 = second.parse().unwrap();
            assert!(seconds.insert(second), "slot {second} has two samples");
            assert_eq!(served.get(price), Some(&second), "{member} was not served in its slot");
        }
        prices.len()
    }

    async fn check_bounds(&self) {
        for queue in ["fetch_btc_ars", "housekeeping"] {
            let data = format!("{queue}:data");
            eventually(SOON, "finished jobs are deleted", || async {
                self.database.command::<u64>(&["HLEN", &data]).await <= 25
            })
            .await;
        }
        eventually(SOON, "stopped workers are deleted", || async {
            let names = "*:workers:metadata:*";
            self.database.command::<Vec<String>>(&["KEYS", names]).await.len() <= 12
        })
        .await;
    }
}

#[tokio::test]
async fn after_random_faults_each_slot_has_one_sample_or_a_reason() {
    let seed = env_number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let time = Duration::from_secs(60 * env_number("CHAOS_MINUTES").unwrap_or(1));
    println!("chaos: seed {seed}, {time:?}");
    let mut chaos = Chaos::start(seed).await;
    eventually(SOON, "it records", || async { !chaos.database.prices().await.is_empty() }).await;
    let (end, mut faults) = (Instant::now() + time, 0);
    while Instant::now() < end {
        chaos.cause_fault().await;
        faults += 1;
        let pause = Duration::from_millis(chaos.rng.u64(200..2000));
        sleep(pause).await;
    }
    // The faults are over: recording continues, and the remaining missed slots are reported.
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
    assert!(
        missed.not_scheduled * 4 <= *expected,
        "too many missed slots without a reported reason: {coverage:?}"
    );
    assert!(recorded * 4 >= *expected, "too few slots were recorded: {coverage:?}");
}
