//! Measures the queue with jobs that do nothing, on a redis-server of its own on loopback: jobs per second,
//! the time from enqueue to start, the memory of finished jobs, and the script calls of an idle worker.
//! Prints a Markdown table, for `make bench-queue`.

use std::{
    io::Write as _,
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cotiza::{
    config::Config,
    metrics::Metrics,
    queue::{self, Enqueuer, Job, JobError, Liveness},
};
use futures_util::{StreamExt, stream};
use redis::Client;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

const PORT: u16 = 7795;
/// The library stops working at 8,000 waiting jobs.
const JOBS: usize = 7000;
const ROUNDS: usize = 7;
const PROBES: usize = 1000;

/// A job that waits until the gate is open and does nothing else.
#[derive(Debug, Serialize, Deserialize)]
struct Nothing {
    id: usize,
}

#[derive(Debug, Clone)]
struct Gate {
    open: Arc<Semaphore>,
    done: Arc<AtomicUsize>,
    started: Arc<Mutex<Option<Instant>>>,
}

impl Job for Nothing {
    const NAME: &'static str = "nothing";
    type Context = Gate;

    fn key(&self) -> String {
        self.id.to_string()
    }

    async fn run(self, gate: Gate, _tries: u32) -> Result<(), JobError> {
        if let Ok(mut started) = gate.started.lock() {
            *started = Some(Instant::now());
        }
        let _open = gate.open.acquire().await?;
        gate.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Bench {
    client: Client,
    enqueuer: Enqueuer<Nothing>,
    gate: Gate,
    next: usize,
}

impl Bench {
    async fn done(&self, count: usize) {
        while self.gate.done.load(Ordering::SeqCst) < count {
            sleep(Duration::from_micros(200)).await;
        }
    }

    async fn enqueue(&mut self, count: usize) -> anyhow::Result<f64> {
        let (started, first) = (Instant::now(), self.next);
        self.next += count;
        let jobs = stream::iter(first..self.next);
        let enqueuer = &self.enqueuer;
        let enqueued = jobs.map(|id| async move { enqueuer.enqueue(&Nothing { id }).await });
        let mut enqueued = enqueued.buffer_unordered(64);
        while let Some(outcome) = enqueued.next().await {
            outcome?;
        }
        Ok(rate(count, started))
    }

    async fn info(&self, section: &str, field: &str) -> anyhow::Result<f64> {
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        let text: String = redis::cmd("INFO").arg(section).query_async(&mut connection).await?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let value =
            line.context("no such field")?.split([',', ':', '=']).find(|part| !part.is_empty());
        Ok(value.context("no value")?.parse()?)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut server = start_redis()?;
    let ended = measure().await;
    server.kill()?;
    server.wait()?;
    ended
}

fn start_redis() -> anyhow::Result<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &PORT.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command
        .args(["--appendonly", "no", "--loglevel", "warning"])
        .stdout(std::process::Stdio::null());
    Ok(command.spawn()?)
}

async fn measure() -> anyhow::Result<()> {
    let client = Client::open(format!("redis://127.0.0.1:{PORT}/0"))?;
    while client.get_multiplexed_async_connection().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    let mut config = Config::default();
    config.worker.concurrency = 256;
    let gate =
        Gate { open: Arc::new(Semaphore::new(256)), done: Arc::default(), started: Arc::default() };
    let server = cotiza::connection::Server::from_url(&format!("redis://127.0.0.1:{PORT}/0"))?;
    let enqueuer = Enqueuer::new(&server, Metrics::default());
    let mut bench = Bench { client: client.clone(), enqueuer, gate: gate.clone(), next: 0 };
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (token, gate) = (stop.clone(), gate.clone());
        async move {
            let (liveness, metrics) = (Liveness::default(), Metrics::default());
            queue::work::<Nothing>(&server, &config, gate, "bench", liveness, metrics, &token)
                .await;
        }
    });
    bench.enqueue(1).await?;
    bench.done(1).await;

    let mut latencies = latencies(&mut bench).await?;
    let before = bench.info("memory", "used_memory:").await?;
    let (mut drained, mut pushed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let closed = gate.open.clone().acquire_many_owned(256).await?;
        pushed.push(bench.enqueue(JOBS).await?);
        let started = Instant::now();
        drop(closed);
        bench.done(bench.next).await;
        drained.push(rate(JOBS, started));
    }
    sleep(Duration::from_secs(1)).await;
    let count = bench.next - PROBES - 1;
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let left = (bench.info("memory", "used_memory:").await? - before) / count as f64;
    let calls = bench.info("commandstats", "cmdstat_evalsha:calls").await?;
    sleep(Duration::from_secs(10)).await;
    let idle = (bench.info("commandstats", "cmdstat_evalsha:calls").await? - calls) / 10.0;
    stop.cancel();
    working.await?;
    print(&[
        (
            format!("drained, jobs/s, median of {ROUNDS} rounds of {JOBS}"),
            part(&mut drained, 50),
            0,
        ),
        ("enqueued one by one, 64 at a time, jobs/s".to_owned(), part(&mut pushed, 50), 0),
        (format!("enqueue to start, idle worker, p50 ms of {PROBES}"), part(&mut latencies, 50), 2),
        ("the same, p99 ms".to_owned(), part(&mut latencies, 99), 2),
        ("bytes in Redis of a finished job until it is deleted".to_owned(), left, 0),
        ("script calls per second of an idle worker".to_owned(), idle, 1),
    ])
}

/// Prints a table of rows with a name, a value and its number of decimals.
fn print(rows: &[(String, f64, usize)]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "| jobs that do nothing, one worker process, concurrency 256 | |\n|---|--:|")?;
    for (name, value, decimals) in rows {
        writeln!(out, "| {name} | {value:.decimals$} |")?;
    }
    Ok(())
}

/// Measures the milliseconds from before the enqueue to the start of the job.
async fn latencies(bench: &mut Bench) -> anyhow::Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for _ in 0..PROBES {
        sleep(Duration::from_micros(fastrand::u64(1000..8000))).await;
        let enqueued = Instant::now();
        bench.enqueue(1).await?;
        bench.done(bench.next).await;
        let started = bench.gate.started.lock().ok().and_then(|started| *started);
        let started = started.context("the job has not started")?;
        latencies.push(started.duration_since(enqueued).as_secs_f64() * 1000.0);
    }
    Ok(latencies)
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

/// Returns the given percentile of the values.
fn part(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).copied().unwrap_or_default()
}
