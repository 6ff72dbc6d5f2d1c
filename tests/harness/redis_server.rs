//! A real redis-server, shared by the tests or owned by one test.

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
    domain::{Observation, PriceFilter, Slots},
    exchange::Sources,
    history::{History, Limits, Retention},
    jobs::{Context, Progress, QUEUES},
    metrics::Metrics,
    queue::Janitor,
    store::{Recorded, Store, keys},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{
    all_time, eventually, fake_time, free_port, observation, recorder,
    server_process::ServerProcess, slots_of,
};

/// Unlimited memory, and no limit on the age of stale data.
pub const UNLIMITED: Limits = Limits { memory: usize::MAX, stale_for: Duration::MAX };

/// The server that most tests share; each test has its own database.
static SHARED: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);

/// A redis-server with an append-only file.
pub struct RedisServer {
    pub port: u16,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    server: Option<ServerProcess>,
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

    /// Starts a server whose clock [`RedisServer::set_clock`] can set.
    pub fn with_settable_clock() -> Self {
        Self::start_with(fake_time::settable_clock)
    }

    /// Sets the offset of its clock from the clock of this machine, in seconds.
    pub fn set_clock(&self, seconds: i64) {
        fake_time::set_clock(self.folder.path(), seconds);
    }

    fn start_with(environment: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Self {
        let (port, folder) = (free_port(), TempDir::new().expect("a folder"));
        let environment = environment(folder.path());
        let server = Some(Self::spawn(port, &folder, &environment));
        Self { port, folder, environment, server }
    }

    fn spawn(port: u16, folder: &TempDir, environment: &[(&'static str, String)]) -> ServerProcess {
        let folder = folder.path();
        let words = format!(
            "redis-server --port {port} --bind 127.0.0.1 --dir {} --appendonly yes \
             --appendfsync always --databases 1024 --loglevel warning --save",
            folder.display()
        );
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.push(String::new());
        ServerProcess::start(&words, environment, &folder.join("log"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn database(&self) -> Database {
        Database::at(self.url())
    }

    /// Returns its database when the server responds.
    pub async fn ready_database(&self) -> Database {
        let database = self.database();
        database.wait_until_ready().await;
        database
    }

    pub fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it is running").signal(signal);
    }

    /// Kills the server, as a power failure would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same port with its data.
    pub fn restart(&mut self) {
        self.server = Some(Self::spawn(self.port, &self.folder, &self.environment));
    }

    /// Returns its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Deletes its data on disk.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.folder.path().join("appendonlydir")).expect("an AOF");
    }
}

impl Database {
    /// Returns an empty database of the shared server that no other test uses.
    pub async fn new() -> Self {
        let number = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
        let database = Self::at(format!("redis://127.0.0.1:{}/{number}", SHARED.port));
        database.wait_until_ready().await;
        database
    }

    fn at(url: String) -> Self {
        let client = redis::Client::open(url.as_str()).expect("a URL");
        let server = Server::from_url(&url).expect("a URL");
        Self { url, client, server }
    }

    pub fn store(&self) -> Store {
        self.store_of(Duration::from_secs(10))
    }

    /// Returns a store with slots of the given length.
    pub fn store_of(&self, slot: Duration) -> Store {
        let slots = Slots::new(slot).expect("a length");
        Store::new(&self.server, slots, Clock::machine())
    }

    /// Returns a history that has loaded everything that is stored now.
    pub async fn history(&self) -> History {
        let history = History::new(self.store(), UNLIMITED);
        history.refresh().await.expect("loaded");
        history
    }

    /// Returns the context of jobs with the given slots, sources and filter.
    pub fn context(&self, slots: Slots, sources: Sources, price_filter: PriceFilter) -> Context {
        let store = self.store_of(slots.length());
        Context {
            slots,
            sources,
            price_filter,
            history: Arc::new(History::new(store.clone(), UNLIMITED)),
            store,
            retention: Retention::default(),
            janitor: self.janitor(),
            metrics: Metrics::default(),
            progress: Progress::default(),
        }
    }

    pub fn janitor(&self) -> Janitor {
        let config = Config::default().queue;
        Janitor::new(&self.server, QUEUES.to_vec(), &config)
    }

    /// Waits until the server responds.
    pub async fn wait_until_ready(&self) {
        eventually(Duration::from_secs(10), "Redis responds", || async {
            self.store().counts().await.is_ok()
        })
        .await;
    }

    /// Sends a command and returns the response.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = recorder::connect(&self.client).await.expect("connected");
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.expect("answered")
    }

    /// Returns the current unix second of the clock of Redis.
    pub async fn now(&self) -> i64 {
        self.command::<Vec<i64>>(&["TIME"]).await[0]
    }

    /// Adds members to the key `prices`, given as pairs of score and member.
    pub async fn put_prices<S: AsRef<str>, M: AsRef<str>>(&self, members: &[(S, M)]) {
        self.put_members(keys::PRICES, members).await;
    }

    /// Adds members to a sorted set.
    pub async fn put_members<S: AsRef<str>, M: AsRef<str>>(&self, key: &str, members: &[(S, M)]) {
        for part in members.chunks(1000) {
            let pairs = part.iter().flat_map(|(score, member)| [score.as_ref(), member.as_ref()]);
            let words: Vec<&str> = ["ZADD", key].into_iter().chain(pairs).collect();
            self.command::<()>(&words).await;
        }
    }

    /// Records samples, given as unix seconds and prices, and returns how many were stored.
    pub async fn record<P: AsRef<str>>(&self, samples: &[(i64, P)]) -> usize {
        let observations: Vec<Observation> =
            samples.iter().map(|(second, price)| observation(*second, price.as_ref())).collect();
        let outcomes = self.record_in(slots_of(10), &observations).await;
        outcomes.into_iter().filter(|outcome| *outcome == Recorded::Stored).count()
    }

    /// Records an observation of any time.
    pub async fn record_one(&self, observation: &Observation) -> Recorded {
        recorder::record(&self.client, slots_of(10), observation).await.expect("answered")
    }

    /// Records observations of any time in the given slots.
    pub async fn record_in(&self, slots: Slots, observations: &[Observation]) -> Vec<Recorded> {
        let connection = recorder::connect(&self.client).await.expect("connected");
        let record = async |observation: &Observation| {
            recorder::record_on(&mut connection.clone(), slots, observation)
                .await
                .expect("answered")
        };
        let mut outcomes = Vec::new();
        // More requests at a time could exceed the timeout.
        for part in observations.chunks(200) {
            outcomes.extend(futures_util::future::join_all(part.iter().map(record)).await);
        }
        outcomes
    }

    /// Returns the number of samples, in text form or in blocks.
    pub async fn count(&self) -> u64 {
        self.history().await.total(&all_time()).await.expect("answered").value.count
    }

    /// Returns the names of the keys that begin with the given text.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        self.command(&["KEYS", &format!("{prefix}*")]).await
    }

    /// Returns the members of the key `prices`, oldest first.
    pub async fn prices(&self) -> Vec<String> {
        self.command(&["ZRANGE", keys::PRICES, "0", "-1"]).await
    }
}
