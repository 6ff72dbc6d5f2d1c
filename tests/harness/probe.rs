//! A job that does what a test tells it, and a queue to run it on.

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
    metrics::Metrics,
    queue::{self, Enqueued, Enqueuer, GiveUp, GivenUp, Job, Pulse},
};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Database, SOON, eventually};

/// A job that does what it says and notes that it ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    pub id: u32,
    pub act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Act {
    Succeed,
    GiveUp,
    Panic,
    Sleep(Duration),
}

/// How often each job began, which ones came to their end, how many the queue gave up.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<BTreeMap<u32, (u32, bool)>>>, Arc<AtomicU32>);

impl Log {
    pub fn begun(&self, id: u32) -> u32 {
        self.0.lock().unwrap().get(&id).map_or(0, |(begun, _)| *begun)
    }

    pub fn given_up(&self) -> u32 {
        self.1.load(Ordering::SeqCst)
    }

    pub fn ended(&self, id: u32) -> bool {
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
pub struct Unreadable(pub String);

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

/// A running worker of the queue.
pub struct Worker {
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

/// A queue of probes in a database of its own.
pub struct QueueBench {
    pub database: Database,
    pub config: Config,
    pub log: Log,
}

impl QueueBench {
    pub async fn new() -> Self {
        Self::at(Database::new().await).await
    }

    pub async fn at(database: Database) -> Self {
        database.answers().await;
        let mut config = Config::default();
        config.worker.concurrency = 2;
        Self { database, config, log: Log::default() }
    }

    pub fn worker(&self, name: &str) -> Worker {
        let (server, log) = (self.database.server.clone(), self.log.clone());
        let (config, name, stop) = (self.config.clone(), name.to_owned(), CancellationToken::new());
        let told = stop.clone();
        let running = tokio::spawn(async move {
            let (pulse, metrics) = (Pulse::default(), Metrics::default());
            queue::work::<Probe>(&server, &config, log, &name, pulse, metrics, &told).await;
        });
        Worker { stop, running }
    }

    pub fn enqueuer<J: Job>(&self) -> Enqueuer<J> {
        Enqueuer::new(&self.database.server, Metrics::default())
    }

    pub async fn enqueue(&self, id: u32, act: Act) {
        let enqueued = self.enqueuer().enqueue(&Probe { id, act }).await.unwrap();
        assert_eq!(enqueued, Enqueued::New);
    }

    pub async fn has_ended(&self, id: u32) {
        eventually(SOON, &format!("job {id} ends"), || async { self.log.ended(id) }).await;
    }

    /// The ids in one of the queue's sets of finished jobs.
    pub async fn finished(&self, set: &str) -> u32 {
        self.database.command(&["SCARD", &format!("probe:{set}")]).await
    }
}
