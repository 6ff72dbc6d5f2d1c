//! All roles run for some time, with clients on all endpoints and a random fault every 5 s. Memory, open
//! files and the data in Redis must not grow.
//!
//! It takes 20 s by default; `make soak MINUTES=30` runs longer. It prints a table and a verdict.

use std::{collections::BTreeMap, time::Duration};

use cotiza::store::keys;
use fastrand::Rng;
use nix::sys::signal::Signal;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::harness::{
    Cotiza, Database, FakeExchange, RedisServer, SOON, env_number, eventually, get_text,
    open_files, resident_kb,
};

const PATHS: [&str; 10] = [
    "/api/average-price/?since=0&until=2000000000",
    "/api/ticker-list/?page=last&page_size=100",
    "/api/ticker-list/?page=3",
    "/api/ticker-price/?timestamp=1700000000",
    "/api/latest/",
    "/api/coverage/",
    "/api/gaps/",
    "/api/sources/",
    "/metrics",
    "/docs",
];

struct Soak {
    server: RedisServer,
    database: Database,
    exchange: FakeExchange,
    processes: Vec<(&'static str, Cotiza)>,
    rng: Rng,
    /// The values of each measure, one per second.
    measures: BTreeMap<&'static str, Vec<u64>>,
}

impl Soak {
    async fn start() -> Self {
        let (server, exchange) = (RedisServer::start(), FakeExchange::start().await);
        let database = server.ready_database().await;
        let (processes, measures, rng) = (Vec::new(), BTreeMap::new(), Rng::new());
        let mut soak = Self { server, database, exchange, processes, rng, measures };
        for role in ["scheduler", "worker", "worker", "api"] {
            let process = soak.start_process(role);
            soak.processes.push((role, process));
        }
        soak
    }

    fn start_process(&self, role: &'static str) -> Cotiza {
        let environment = [
            ("REDIS_URL", self.database.url.as_str()),
            ("COTIZA__SCHEDULE__EVERY", "1s"),
            ("COTIZA__QUEUE__KEEP_DONE", "5s"),
            ("COTIZA__QUEUE__KEEP_DEAD", "5s"),
            ("COTIZA__QUEUE__HOUSEKEEPING_EVERY", "2s"),
            ("COTIZA__API__LISTEN", "127.0.0.1:0"),
            ("COTIZA__API__HEADER_TIMEOUT", "1s"),
            ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
        ];
        Cotiza::start(&[role], &environment)
    }

    async fn address(&self) -> String {
        let (_, api) = self.processes.iter().find(|(role, _)| *role == "api").expect("an api");
        let line = api.wait_for_line("the API listens on ").await;
        line.rsplit(' ').next().expect("an address").to_owned()
    }

    /// Causes a random fault and ends it. The API is never killed, since its memory is compared.
    async fn fault(&mut self) {
        match self.rng.u32(0..4) {
            0 => {
                let at = self.rng.usize(0..self.processes.len());
                let (role, process) = self.processes.swap_remove(at);
                if role == "api" {
                    self.processes.push((role, process));
                    return;
                }
                process.end(Signal::SIGKILL, SOON).await;
                let replacement = self.start_process(role);
                self.processes.push((role, replacement));
            }
            1 => {
                self.server.signal(Signal::SIGSTOP);
                sleep(Duration::from_millis(1500)).await;
                self.server.signal(Signal::SIGCONT);
            }
            2 => {
                self.exchange.set_response(Duration::ZERO, 500, "broken");
                sleep(Duration::from_secs(1)).await;
                let ticker = FakeExchange::ticker("84436700.0");
                self.exchange.set_response(Duration::ZERO, 200, ticker);
            }
            _ => {
                self.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
        }
    }

    async fn measure(&mut self) {
        let of_role = |role: &str, measure: fn(nix::unistd::Pid) -> u64| {
            let processes = self.processes.iter().filter(|(other, _)| *other == role);
            processes.map(|(_, process)| measure(process.id())).max().unwrap_or(0)
        };
        let mut values = vec![
            ("api kB", of_role("api", resident_kb)),
            ("api files", of_role("api", open_files)),
            ("worker kB", of_role("worker", resident_kb)),
            ("worker files", of_role("worker", open_files)),
            ("scheduler kB", of_role("scheduler", resident_kb)),
        ];
        let keys: Vec<String> = self.database.command(&["KEYS", "*"]).await;
        // The keys that prevent a job from being enqueued twice, one per job, expire after three hours.
        let lasting = keys.iter().filter(|key| !key.contains(":idempotency")).count();
        values.push(("lasting redis keys", lasting as u64));
        let memory: String = self.database.command(&["INFO", "memory"]).await;
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: u64 = used.and_then(|used| used.trim().parse().ok()).unwrap_or(0);
        let samples: u64 = self.database.command(&["ZCARD", keys::PRICES]).await;
        // The size of a sample as text, with its provenance and its entry in the stream of changes.
        values.push(("redis kB without samples", used.saturating_sub(samples * 500) / 1000));
        for (name, value) in values {
            self.measures.entry(name).or_default().push(value);
        }
    }
}

/// Sends requests to random paths until the given time, some of them incomplete; returns the number of
/// responses.
async fn client(address: String, mut rng: Rng, until: Instant) -> u64 {
    let mut answered = 0;
    while Instant::now() < until {
        let path = PATHS[rng.usize(0..PATHS.len())];
        if rng.u32(0..20) == 0 {
            if let Ok(mut stream) = TcpStream::connect(&address).await {
                let _result = stream.write_all(b"GET /docs HTTP/1.1\r\nHost: a\r\n").await;
                sleep(Duration::from_millis(500)).await;
            }
        } else if get_text(&format!("http://{address}{path}")).await.is_some() {
            answered += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    answered
}

/// Returns the median of the values.
fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_open_files_and_keys_do_not_grow() {
    let minutes = env_number("SOAK_MINUTES");
    let time = minutes.map_or(Duration::from_secs(20), |minutes| Duration::from_secs(60 * minutes));
    let mut soak = Soak::start().await;
    let address = soak.address().await;
    let samples = || async { soak.database.command::<u64>(&["ZCARD", keys::PRICES]).await };
    eventually(SOON, "recording", || async { samples().await >= 3 }).await;
    let (begun, before) = (Instant::now(), samples().await);
    let clients: Vec<_> = (0..4)
        .map(|n| tokio::spawn(client(address.clone(), Rng::with_seed(n), begun + time)))
        .collect();
    let mut last_fault = begun;
    while begun.elapsed() < time {
        soak.measure().await;
        if last_fault.elapsed() > Duration::from_secs(5) {
            soak.fault().await;
            last_fault = Instant::now();
        }
        sleep(Duration::from_secs(1)).await;
    }
    let mut answered = 0;
    for client in clients {
        answered += client.await.expect("no panic");
    }
    let recorded = soak.database.command::<u64>(&["ZCARD", keys::PRICES]).await - before;
    println!("soak: {time:?}, {answered} responses, {recorded} of {} slots", time.as_secs());
    let mut growing = Vec::new();
    for (name, values) in &soak.measures {
        let quarter = values.len() / 4;
        // The first quarter is the warm-up.
        let early = median(&values[quarter..2 * quarter]);
        let late = median(&values[3 * quarter..]);
        println!("soak: {name:26} {early:>8} -> {late:>8}");
        if late > early + early / 4 + 50.min(early / 2 + 10) {
            growing.push(*name);
        }
    }
    let verdict = if growing.is_empty() { "flat" } else { "GROWING" };
    println!("soak: verdict: {verdict} {growing:?}");
    assert!(growing.is_empty(), "{growing:?} grew: {:?}", soak.measures);
    assert!(recorded * 2 > time.as_secs(), "only {recorded} slots were recorded");
}
