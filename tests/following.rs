//! A history that follows Redis equals it again after any fault of Redis and any change of its data.

mod event;

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use cotiza::{history::History, store::keys};
use nix::sys::signal::Signal;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime::Runtime, task::JoinHandle, time::sleep};

use crate::harness::{
    Database, NaiveModel, RedisServer, SOON, UNLIMITED, all_time, eventually, observation,
    observations, samples, text_kept_for,
};

use event::{Event, event};

const BASE: i64 = 1_699_999_200; // the start of an hour

struct Bench {
    server: RedisServer,
    database: Database,
    history: Arc<History>,
    following: JoinHandle<()>,
    /// The number of writes, which makes members unique.
    count: usize,
    /// The longest time until the history equalled Redis again.
    slowest: Duration,
}

impl Bench {
    async fn start() -> Self {
        let server = RedisServer::start();
        let database = server.ready_database().await;
        let history = Arc::new(History::new(database.store(), UNLIMITED));
        let followed = Arc::clone(&history);
        let following = tokio::spawn(async move { followed.follow().await });
        Self { server, database, history, following, count: 0, slowest: Duration::ZERO }
    }

    async fn record(&mut self, seconds: &[i64]) {
        for second in seconds {
            self.count += 1;
            let sample = observation(BASE + second, &format!("{}.5", self.count));
            self.database.record_one(&sample).await;
        }
    }

    async fn put(&mut self, score: &str, member: &str) {
        self.count += 1;
        self.database.put_prices(&[(score, format!("{}{member}", self.count))]).await;
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Record(seconds) => self.record(&seconds).await,
            Event::Import(first, count) => {
                let store = self.database.store();
                let schedule = store.schedule().await.unwrap();
                for start in (first..first + count).map(|hour| BASE + hour * 3600) {
                    let added = samples(start + 5).every(100).count(20).price("3.25");
                    let stored = store.hour(start).await.unwrap();
                    store.add(&stored, &observations(&added), &schedule).await.unwrap();
                }
            }
            Event::Legacy(at, half) => {
                let fraction = if half { ".5" } else { "" };
                self.put(&format!("{}{fraction}", BASE + at), ".75").await;
            }
            Event::WrittenAgain(at) => {
                // Its time is the newest one, as with the old stack.
                self.count += 1;
                let second =
                    BASE + 3_000_000 + 4000 * i64::try_from(self.count).unwrap() + at % 4000;
                self.database.put_prices(&[(second.to_string(), "77.5")]).await;
            }
            Event::Rubbish(at) => {
                self.put(&(BASE + at).to_string(), "rubbish").await;
                // Only a count changes. Counts are compared once per second; a removal within that second
                // would cancel this change.
                sleep(Duration::from_millis(1500)).await;
            }
            Event::Remove(n) => {
                let members = self.database.prices().await;
                if let Some(member) = members.get(n % members.len().max(1)) {
                    self.database.command::<()>(&["ZREM", keys::PRICES, member]).await;
                }
            }
            Event::Maintain(hours) => {
                let history = self.database.history().await;
                let now = BASE + 86_400 + hours * 3600;
                history.maintain(now, text_kept_for(24)).await.unwrap();
            }
            other => self.disturb(other).await,
        }
        self.database.wait_until_ready().await;
    }

    /// Applies an event to the server or to the stream of changes.
    async fn disturb(&mut self, event: Event) {
        match event {
            Event::Stall => {
                self.server.signal(Signal::SIGSTOP);
                sleep(Duration::from_millis(2500)).await;
                self.server.signal(Signal::SIGCONT);
            }
            Event::Restart => {
                self.server.kill();
                self.server.restart();
            }
            Event::LoseTail(seconds) => {
                let (folder, copy) =
                    (self.server.folder().to_owned(), tempfile::tempdir().unwrap());
                copy_of(&folder.join("appendonlydir"), copy.path());
                self.record(&seconds).await;
                self.equals_redis("before the tail is lost").await;
                self.server.kill();
                std::fs::remove_dir_all(folder.join("appendonlydir")).unwrap();
                copy_of(&copy.path().join("appendonlydir"), &folder);
                self.server.restart();
                self.database.wait_until_ready().await;
                // New samples must not hide the lost ones.
                self.record(&[1, 100_001]).await;
            }
            Event::Wipe => {
                self.server.kill();
                self.server.wipe();
                self.server.restart();
                self.database.wait_until_ready().await;
                self.record(&[2]).await;
            }
            Event::Flush => self.database.command::<()>(&["FLUSHALL"]).await,
            Event::TrimStream => {
                self.record(&[3, 200_003]).await;
                self.database.command::<()>(&["XTRIM", keys::CHANGES, "MAXLEN", "0"]).await;
                self.record(&[300_003]).await;
            }
            Event::Disconnect => {
                self.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            }
            Event::Slots(seconds) => {
                let store = self.database.store_of(Duration::from_secs(seconds));
                store.set_slots(BASE + 1_000_000).await.unwrap();
            }
            Event::FutureId => {
                let id = "9999999999999-0";
                let _refused: redis::RedisResult<String> = async {
                    let client = &self.database.client;
                    let mut connection = client.get_multiplexed_async_connection().await?;
                    let mut add = redis::cmd("XADD");
                    add.arg(keys::CHANGES).arg(id).arg("number").arg(0);
                    add.query_async(&mut connection).await
                }
                .await;
                self.record(&[400_000 + i64::try_from(self.count).unwrap()]).await;
            }
            _ => unreachable!("the other events change samples"),
        }
    }

    /// Waits until the history has exactly the samples in Redis.
    async fn equals_redis(&mut self, after: &str) {
        let naive = NaiveModel::read(&self.database).await;
        let started = std::time::Instant::now();
        let is_equal = async || {
            let Ok(total) = self.history.total(&all_time()).await else { return false };
            if total.value.count != naive.0.len() as u64 {
                return false;
            }
            let Ok(known) = self.history.rows(0..u64::MAX).await else { return false };
            let rows: Vec<_> = known.value.iter().map(|row| (row.timestamp, row.price)).collect();
            known.until.is_none() && rows == naive.0
        };
        eventually(SOON / 2, &format!("equal to Redis after {after}"), is_equal).await;
        self.slowest = self.slowest.max(started.elapsed());
        // Its summary equals that of a newly loaded history.
        let fresh = self.database.history().await;
        let expected = fresh.summary(&all_time()).await.unwrap().value;
        assert_eq!(self.history.summary(&all_time()).await.unwrap().value, expected, "{after}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.following.abort();
    }
}

fn copy_of(folder: &Path, into: &Path) {
    let copied = Command::new("cp").arg("-r").arg(folder).arg(into).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_history_equals_redis_again_after_any_sequence_of_events() {
    let runtime = Runtime::new().unwrap();
    let strategy = prop::collection::vec(event(), 1..14);
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::with_cases(10)
    };
    let checked = TestRunner::new(config).run(&strategy, |events| {
        runtime.block_on(async {
            let mut bench = Bench::start().await;
            for event in events {
                let name = format!("{event:?}");
                println!("{name}");
                bench.apply(event).await;
                bench.equals_redis(&name).await;
            }
            println!("equal again after at most {:?}", bench.slowest);
        });
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn a_concurrent_import_is_followed() {
    let mut bench = Bench::start().await;
    let store = bench.database.store();
    let import = tokio::spawn(async move {
        let schedule = store.schedule().await.unwrap();
        for start in (0..2000).map(|hour| BASE + hour * 3600) {
            let added = observations(&samples(start).every(70).count(50).price("3.25"));
            let stored = store.hour(start).await.unwrap();
            assert_eq!(store.add(&stored, &added, &schedule).await.unwrap(), Some(50));
        }
    });
    let mut seen = 0;
    while !import.is_finished() {
        if let Ok(total) = bench.history.total(&all_time()).await {
            assert!(total.value.count >= seen);
            assert_eq!(total.value.sum, i128::from(total.value.count) * 32_500);
            seen = total.value.count;
        }
        sleep(Duration::from_millis(5)).await;
    }
    import.await.unwrap();
    bench.equals_redis("an import").await;
}

#[tokio::test]
async fn a_restored_dump_of_the_old_stack_is_served() {
    let mut bench = Bench::start().await;
    // The old stack wrote the price alone.
    let dump = samples(BASE).every(10).count(30_000).prices(|n| format!("{}.5", n + 1));
    let dump: Vec<_> =
        dump.into_iter().map(|(second, price)| (second.to_string(), price)).collect();
    bench.database.put_members("old", &dump).await;
    bench.record(&[5, 900_000]).await;
    bench.equals_redis("some samples").await;
    bench.database.command::<()>(&["RENAME", "old", keys::PRICES]).await;
    bench.equals_redis("the dump").await;
    let total = bench.history.total(&all_time()).await.unwrap().value;
    assert_eq!((total.count, total.average().to_string()), (30_000, "15001.00".to_owned()));
}

#[tokio::test]
async fn a_price_that_the_old_stack_writes_again_within_an_hour_is_followed() {
    let mut bench = Bench::start().await;
    let hour = BASE.div_euclid(3600) * 3600 + 3_600_000;
    for second in [hour + 100, hour + 200, hour + 3500] {
        bench.database.put_prices(&[(second.to_string(), "77.5")]).await;
        bench.equals_redis("a price was written again").await;
    }
}
