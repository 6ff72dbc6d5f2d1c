//! A real redis-server, shared by the tests of this binary or owned by one of them.

use std::{
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cotiza::{
    clock::Clock,
    config::Config,
    connection::Server,
    domain::{Doubt, Observation, Sample, Slots, Timestamp},
    exchange::Sources,
    history::{History, Limits, Retention},
    jobs::{Context, Progress, QUEUES},
    metrics::Metrics,
    queue::Caretaker,
    store::{Recorded, Store},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{eventually, fake_time, free_port, guarded::Guarded, recorder};

/// Room for everything, and patience without end.
pub const LIMITS: Limits = Limits { memory: usize::MAX, stale_for: Duration::MAX };

/// A sample of unknown origin.
pub fn observation(second: i64, price: &str) -> Observation {
    let timestamp = Timestamp::from_second(second);
    Sample { timestamp, price: price.parse().expect("a price") }.into()
}

/// The server that most tests share, each in a database of its own.
static SHARED: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);

/// A redis-server with an append-only file.
pub struct RedisServer {
    pub port: u16,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    server: Option<Guarded>,
}

/// An empty database of the shared server.
pub struct Database {
    pub url: String,
    pub client: redis::Client,
    pub server: Server,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// A server whose clock [`RedisServer::set_clock`] sets.
    pub fn with_settable_clock() -> Self {
        Self::start_with(fake_time::settable_clock)
    }

    /// Sets its clock apart from that of this machine, in seconds.
    pub fn set_clock(&self, seconds: i64) {
        fake_time::set_clock(self.folder.path(), seconds);
    }

    fn start_with(environment: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Self {
        let (port, folder) = (free_port(), TempDir::new().expect("a folder"));
        let environment = environment(folder.path());
        let server = Some(Self::spawn(port, &folder, &environment));
        Self { port, folder, environment, server }
    }

    fn spawn(port: u16, folder: &TempDir, environment: &[(&'static str, String)]) -> Guarded {
        let folder = folder.path();
        let words = format!(
            "redis-server --port {port} --bind 127.0.0.1 --dir {} --appendonly yes \
             --appendfsync always --databases 1024 --loglevel warning --save",
            folder.display()
        );
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.push(String::new());
        Guarded::start(&words, environment, &folder.join("log"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn database(&self) -> Database {
        Database::at(self.url())
    }

    pub fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it lives").signal(signal);
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again on its port, with its data.
    pub fn restart(&mut self) {
        self.server = Some(Self::spawn(self.port, &self.folder, &self.environment));
    }

    /// The folder of its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Forgets what it has on disk.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.folder.path().join("appendonlydir")).expect("an AOF");
    }
}

impl Database {
    /// An empty database that no other test uses, on a server that answers.
    pub async fn new() -> Self {
        let number = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
        let database = Self::at(format!("redis://127.0.0.1:{}/{number}", SHARED.port));
        database.answers().await;
        database
    }

    fn at(url: String) -> Self {
        let client = redis::Client::open(url.as_str()).expect("a URL");
        let server = Server::at(&url).expect("a URL");
        Self { url, client, server }
    }

    pub fn store(&self) -> Store {
        self.store_of(Duration::from_secs(10))
    }

    /// A store of samples in slots of that length.
    pub fn store_of(&self, slot: Duration) -> Store {
        let slots = Slots::new(slot).expect("a length");
        Store::new(&self.server, slots, Clock::machine())
    }

    /// A history of everything that is stored now.
    pub async fn history(&self) -> History {
        let history = History::new(self.store(), LIMITS);
        history.refresh().await.expect("loaded");
        history
    }

    /// What jobs work with, in slots of that length.
    pub fn context(&self, slots: Slots, sources: Sources, doubt: Doubt) -> Context {
        let store = self.store_of(slots.length());
        Context {
            slots,
            sources,
            doubt,
            history: Arc::new(History::new(store.clone(), LIMITS)),
            store,
            retention: Retention::default(),
            caretaker: self.caretaker(),
            metrics: Metrics::default(),
            progress: Progress::default(),
        }
    }

    pub fn caretaker(&self) -> Caretaker {
        let config = Config::default().queue;
        Caretaker::new(&self.server, QUEUES.to_vec(), &config)
    }

    /// Waits until the server answers.
    pub async fn answers(&self) {
        eventually(Duration::from_secs(10), "Redis answers", || async {
            self.store().counts().await.is_ok()
        })
        .await;
    }

    /// Runs a command and gives its answer.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = recorder::connect(&self.client).await.expect("connected");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.expect("answered")
    }

    /// Puts members into `prices`, as pairs of score and member.
    pub async fn put_prices(&self, members: &[(&str, &str)]) {
        for (score, member) in members {
            self.command::<()>(&["ZADD", "prices", score, member]).await;
        }
    }

    /// Records samples, given as seconds and prices; gives how many were stored.
    pub async fn record(&self, samples: &[(i64, &str)]) -> usize {
        let recorded = samples.iter().map(async |(second, price)| {
            let observation = observation(*second, price);
            self.record_one(&observation).await == Recorded::Stored
        });
        futures_util::future::join_all(recorded).await.into_iter().filter(|stored| *stored).count()
    }

    /// Records a sample of any time.
    pub async fn record_one(&self, observation: &Observation) -> Recorded {
        let slots = Slots::new(Duration::from_secs(10)).expect("a length");
        recorder::record(&self.client, slots, observation).await.expect("answered")
    }

    /// The members of `prices`, oldest first.
    pub async fn prices(&self) -> Vec<String> {
        self.command(&["ZRANGE", "prices", "0", "-1"]).await
    }
}
