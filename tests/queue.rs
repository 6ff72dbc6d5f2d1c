//! What the queue promises, and the defects of the library that it guards against.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cotiza::{
    config::Config,
    queue::{self, Caretaker, Enqueued, Enqueuer, GiveUp, GivenUp, Job, Pulse},
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::harness::{Database, SOON, eventually};

/// A job that does what it says and notes that it ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Probe {
    id: u32,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Act {
    Succeed,
    GiveUp,
    Panic,
    Sleep(Duration),
}

/// How often each job began, which ones came to their end, how many the queue gave up.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<BTreeMap<u32, (u32, bool)>>>, Arc<AtomicU32>);

impl Log {
    fn begun(&self, id: u32) -> u32 {
        self.0.lock().unwrap().get(&id).map_or(0, |(begun, _)| *begun)
    }

    fn given_up(&self) -> u32 {
        self.1.load(Ordering::SeqCst)
    }

    fn ended(&self, id: u32) -> bool {
        self.0.lock().unwrap().get(&id).is_some_and(|(_, ended)| *ended)
    }
}

impl Job for Probe {
    const NAME: &'static str = "probe";
    type Context = Log;

    fn key(&self) -> String {
        self.id.to_string()
    }

    async fn run(self, log: Log, _tries: u32) -> Result<(), GiveUp> {
        log.0.lock().unwrap().entry(self.id).or_default().0 += 1;
        match self.act {
            Act::Succeed => {}
            Act::GiveUp => return Err("told to".into()),
            Act::Panic => panic!("told to"),
            Act::Sleep(time) => sleep(time).await,
        }
        log.0.lock().unwrap().entry(self.id).or_default().1 = true;
        Ok(())
    }

    async fn given_up(self, log: Log, _why: GivenUp) {
        log.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// A payload that no worker can read, in the queue of the probes.
#[derive(Debug, Serialize, Deserialize)]
struct Unreadable(String);

impl Job for Unreadable {
    const NAME: &'static str = Probe::NAME;
    type Context = ();

    fn key(&self) -> String {
        self.0.clone()
    }

    async fn run(self, (): (), _tries: u32) -> Result<(), GiveUp> {
        Ok(())
    }
}

struct Worker {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

struct Bench {
    database: Database,
    config: Config,
    log: Log,
}

impl Bench {
    async fn new() -> Self {
        let mut config = Config::default();
        config.worker.concurrency = 2;
        Self { database: Database::new().await, config, log: Log::default() }
    }

    fn worker(&self, name: &str) -> Worker {
        let (client, log) = (self.database.client.clone(), self.log.clone());
        let (config, name, stop) = (self.config.clone(), name.to_owned(), CancellationToken::new());
        let told = stop.clone();
        let running = tokio::spawn(async move {
            let worked =
                queue::work::<Probe>(client, &config, log, &name, Pulse::default(), &told).await;
            worked.unwrap();
        });
        Worker { stop, running }
    }

    fn enqueuer<J: Job>(&self) -> Enqueuer<J> {
        Enqueuer::new(&self.database.client, &self.config.queue).unwrap()
    }

    async fn enqueue(&self, id: u32, act: Act) {
        let enqueued = self.enqueuer().enqueue(&Probe { id, act }).await.unwrap();
        assert_eq!(enqueued, Enqueued::New);
    }

    async fn has_ended(&self, id: u32) {
        eventually(SOON, &format!("job {id} ends"), || async { self.log.ended(id) }).await;
    }

    /// The ids in one of the queue's sets of finished jobs.
    async fn finished(&self, set: &str) -> u32 {
        self.database.command(&["SCARD", &format!("probe:{set}")]).await
    }
}

#[tokio::test]
async fn one_key_is_one_job_however_many_enqueue_it() {
    let bench = Bench::new().await;
    let enqueuers: Vec<Enqueuer<Probe>> = (0..8).map(|_| bench.enqueuer()).collect();
    let job = Probe { id: 7, act: Act::Succeed };
    let outcomes = join_all(enqueuers.iter().map(|enqueuer| enqueuer.enqueue(&job))).await;
    let new = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Enqueued::New))).count();
    assert_eq!((new, outcomes.len()), (1, 8));
    let _worker = bench.worker("w");
    bench.has_ended(7).await;
    bench.enqueue(8, Act::Succeed).await;
    bench.has_ended(8).await;
    assert_eq!(bench.log.begun(7), 1);
}

#[tokio::test]
async fn three_workers_run_each_of_many_jobs_once() {
    let bench = Bench::new().await;
    let _workers = ["a", "b", "c"].map(|name| bench.worker(name));
    let enqueuer = bench.enqueuer();
    for id in 0..300 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    for id in 0..300 {
        bench.has_ended(id).await;
    }
    assert!((0..300).all(|id| bench.log.begun(id) == 1), "{:?}", bench.log);
}

#[tokio::test]
async fn an_idle_worker_starts_a_job_that_comes_at_any_moment() {
    let bench = Bench::new().await;
    let _worker = bench.worker("w");
    for id in 0..10 {
        sleep(Duration::from_millis(137)).await;
        bench.enqueue(id, Act::Succeed).await;
        bench.has_ended(id).await;
    }
}

#[tokio::test]
async fn what_is_given_up_ends_dead_and_never_runs_again() {
    let bench = Bench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::GiveUp).await;
    bench.enqueue(2, Act::Panic).await;
    eventually(SOON, "both are dead", || async { bench.finished("dead").await == 2 }).await;
    // A plain error would be run again a second later.
    bench.enqueue(3, Act::Sleep(Duration::from_secs(3))).await;
    bench.has_ended(3).await;
    assert_eq!((bench.log.begun(1), bench.log.begun(2)), (1, 1));
    eventually(SOON, "the good one is done", || async { bench.finished("done").await == 1 }).await;
}

#[tokio::test]
async fn an_unreadable_payload_is_given_up_and_stops_nobody() {
    let bench = Bench::new().await;
    let unreadable = bench.enqueuer::<Unreadable>();
    unreadable.enqueue(&Unreadable("rubbish".to_owned())).await.unwrap();
    bench.enqueue(1, Act::Succeed).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.has_ended(1).await;
    eventually(SOON, "it is dead", || async { bench.finished("dead").await == 1 }).await;
    // Longer than it takes to find workers dead: nobody died of it, nothing comes back.
    bench.enqueue(2, Act::Sleep(Duration::from_secs(4))).await;
    bench.has_ended(2).await;
    assert_eq!((bench.log.begun(1), bench.log.begun(2)), (1, 1));
    assert_eq!(bench.finished("dead").await, 1);
}

#[tokio::test]
async fn a_worker_that_is_busy_for_long_is_not_taken_for_dead() {
    let mut bench = Bench::new().await;
    bench.config.worker.concurrency = 1;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    // Both are busy for longer than the three silent seconds that make a worker dead.
    bench.enqueue(1, Act::Sleep(Duration::from_secs(6))).await;
    bench.enqueue(2, Act::Sleep(Duration::from_secs(6))).await;
    bench.has_ended(1).await;
    bench.has_ended(2).await;
    bench.enqueue(3, Act::Succeed).await;
    bench.has_ended(3).await;
    assert_eq!((bench.log.begun(1), bench.log.begun(2)), (1, 1));
}

#[tokio::test]
async fn a_stopping_worker_finishes_what_it_runs_and_takes_nothing_new() {
    let bench = Bench::new().await;
    let worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(1))).await;
    eventually(SOON, "it runs", || async { bench.log.begun(1) == 1 }).await;
    worker.stop.cancel();
    bench.enqueue(2, Act::Succeed).await;
    worker.running.await.unwrap();
    assert!(bench.log.ended(1) && bench.log.begun(2) == 0, "{:?}", bench.log);
    assert_eq!(bench.finished("done").await, 1);
    let _next = bench.worker("x");
    bench.has_ended(2).await;
    assert_eq!(bench.log.begun(1), 1);
}

#[tokio::test]
async fn a_drain_has_its_limit_and_the_job_is_handed_to_another() {
    let mut bench = Bench::new().await;
    bench.config.worker.drain = Duration::from_millis(200);
    let first = bench.worker("first");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(8))).await;
    eventually(SOON, "it runs", || async { bench.log.begun(1) == 1 }).await;
    first.stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), first.running).await.unwrap().unwrap();
    let _second = bench.worker("second");
    eventually(Duration::from_secs(5), "it is taken over", || async { bench.log.begun(1) == 2 })
        .await;
}

#[tokio::test]
async fn ids_without_data_or_metadata_are_taken_out_and_stop_nobody() {
    let bench = Bench::new().await;
    for id in [1, 2] {
        bench.enqueue(id, Act::Succeed).await;
    }
    let ids: Vec<String> = bench.database.command(&["ZRANGE", "probe:scheduled", "0", "-1"]).await;
    bench.database.command::<()>(&["HDEL", "probe:data", &ids[0]]).await;
    bench.database.command::<()>(&["DEL", &format!("probe:meta:{}", ids[1])]).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.enqueue(3, Act::Succeed).await;
    bench.has_ended(3).await;
    // Also those that come while the workers work.
    bench.enqueue(4, Act::Sleep(Duration::from_secs(2))).await;
    bench.database.command::<()>(&["RPUSH", "probe:active", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await;
    bench.enqueue(5, Act::Succeed).await;
    bench.has_ended(5).await;
    let left: u32 = bench.database.command(&["ZCARD", "probe:scheduled"]).await;
    assert_eq!((left, bench.log.begun(1), bench.log.begun(2)), (0, 0, 0));
}

#[tokio::test]
async fn a_backlog_that_would_wedge_the_library_is_cut_to_its_newest_jobs() {
    let bench = Bench::new().await;
    let enqueuer = bench.enqueuer();
    for id in 0..9000 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    let _worker = bench.worker("w");
    bench.has_ended(8999).await;
    bench.enqueue(9001, Act::Succeed).await;
    bench.has_ended(9001).await;
    assert_eq!(bench.log.given_up(), 8000, "each job that was dropped is told of");
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    assert!(data <= 1001, "{data} payloads are left");
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up_after_some_tries() {
    let mut bench = Bench::new().await;
    bench.config.worker.drain = Duration::from_millis(1);
    bench.enqueue(1, Act::Sleep(Duration::from_mins(5))).await;
    for n in 1..=5 {
        // Each worker ends, by far too early, while the job runs.
        let worker = bench.worker(&format!("w{n}"));
        eventually(SOON, "it runs", || async { bench.log.begun(1) == n }).await;
        worker.stop.cancel();
        worker.running.await.unwrap();
    }
    let _last = bench.worker("last");
    eventually(SOON, "it is given up", || async { bench.finished("dead").await == 1 }).await;
    assert_eq!((bench.log.begun(1), bench.log.given_up()), (5, 1));
}

#[tokio::test]
async fn what_is_done_with_is_forgotten_after_its_time() {
    let mut bench = Bench::new().await;
    let worker = bench.worker("w");
    for id in 0..50 {
        let act = if id % 2 == 0 { Act::Succeed } else { Act::GiveUp };
        bench.enqueue(id, act).await;
    }
    let finished = || async { bench.finished("done").await + bench.finished("dead").await };
    eventually(SOON, "all are finished", || async { finished().await == 50 }).await;
    worker.stop.cancel();
    worker.running.await.unwrap();

    bench.config.queue.keep_done = Duration::ZERO;
    bench.config.queue.keep_dead = Duration::from_hours(1);
    sleep(Duration::from_secs(1)).await;
    let caretaker = Caretaker::new(&bench.database.client, vec!["probe"], &bench.config.queue);
    let forgotten = caretaker.unwrap().tidy().await.unwrap();
    assert_eq!(forgotten, 25, "the jobs that were done");
    assert_eq!((bench.finished("done").await, bench.finished("dead").await), (0, 25));
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    let metas: Vec<String> = bench.database.command(&["KEYS", "probe:meta:*"]).await;
    assert_eq!((data, metas.len()), (25, 25));

    bench.config.queue.keep_dead = Duration::ZERO;
    let caretaker = Caretaker::new(&bench.database.client, vec!["probe"], &bench.config.queue);
    assert_eq!(caretaker.unwrap().tidy().await.unwrap(), 25);
    let keys: Vec<String> = bench.database.command(&["KEYS", "probe:[^i]*"]).await;
    assert!(keys.is_empty(), "left behind: {keys:?}");
}
