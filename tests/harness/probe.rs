//! A job whose behaviour the test sets, and a queue that runs it.

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
    queue::{self, DiscardReason, Enqueued, Enqueuer, Job, JobError, Liveness},
};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Database, SOON, eventually};

/// A job that behaves as `act` says and records its runs in the [`Log`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    pub id: u32,
    pub act: Act,
}

/// What a [`Probe`] does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Act {
    Succeed,
    Fail,
    Panic,
    Sleep(Duration),
}

/// How often each job was started, whether it ended, and how many jobs the queue discarded.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<BTreeMap<u32, (u32, bool)>>>, Arc<AtomicU32>);

impl Log {
    pub fn starts(&self, id: u32) -> u32 {
        self.0.lock().unwrap().get(&id).map_or(0, |(starts, _)| *starts)
    }

    pub fn discarded(&self) -> u32 {
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

    async fn run(self, log: Log, _tries: u32) -> Result<(), JobError> {
        log.0.lock().unwrap().entry(self.id).or_default().0 += 1;
        match self.act {
            Act::Succeed => {}
            Act::Fail => return Err("as requested".into()),
            Act::Panic => panic!("as requested"),
            Act::Sleep(time) => sleep(time).await,
        }
        log.0.lock().unwrap().entry(self.id).or_default().1 = true;
        Ok(())
    }

    async fn discarded(self, log: Log, _why: DiscardReason) {
        log.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// A job in the queue of the probes whose payload no worker can read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unreadable(pub String);

impl Job for Unreadable {
    const NAME: &'static str = Probe::NAME;
    type Context = ();

    fn key(&self) -> String {
        self.0.clone()
    }

    async fn run(self, (): (), _tries: u32) -> Result<(), JobError> {
        Ok(())
    }
}

/// A running worker of the queue.
pub struct Worker {
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

/// A queue of probes in its own database.
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
        database.wait_until_ready().await;
        let mut config = Config::default();
        config.worker.concurrency = 2;
        Self { database, config, log: Log::default() }
    }

    pub fn worker(&self, name: &str) -> Worker {
        let (server, log) = (self.database.server.clone(), self.log.clone());
        let (config, name, stop) = (self.config.clone(), name.to_owned(), CancellationToken::new());
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            let (liveness, metrics) = (Liveness::default(), Metrics::default());
            queue::work::<Probe>(&server, &config, log, &name, liveness, metrics, &stopped).await;
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

    pub async fn wait_until_ended(&self, id: u32) {
        eventually(SOON, &format!("job {id} ends"), || async { self.log.ended(id) }).await;
    }

    /// Returns the number of finished jobs in the set: `done` or `dead`.
    pub async fn finished(&self, set: &str) -> u32 {
        self.database.command(&["SCARD", &format!("probe:{set}")]).await
    }
}
