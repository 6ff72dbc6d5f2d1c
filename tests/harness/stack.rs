//! All roles as processes, with slots of one second, on any Redis.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cotiza::http_client;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::{Cotiza, FakeExchange, SOON, eventually, free_port};

/// A scheduler, two workers and an api.
pub struct Stack {
    pub processes: Vec<Cotiza>,
    origin: String,
    client: reqwest::Client,
    _exchange: FakeExchange,
}

impl Stack {
    /// Starts all roles with the given environment, which contains `REDIS_URL`.
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        Self::with_urls(environment, &[]).await
    }

    /// Starts all roles and assigns the URLs to the processes in turn.
    pub async fn with_urls(environment: &[(&str, &str)], urls: &[String]) -> Self {
        let exchange = FakeExchange::start().await;
        let listen = format!("127.0.0.1:{}", free_port());
        let mut all = vec![
            ("COTIZA__SCHEDULE__EVERY", "1s"),
            ("COTIZA__QUEUE__HEARTBEAT", "1s"),
            ("COTIZA__SOURCES__BUENBIT__URL", exchange.url.as_str()),
            ("COTIZA__API__LISTEN", listen.as_str()),
        ];
        all.extend(environment);
        let mut processes = Vec::new();
        for (number, role) in ["scheduler", "worker", "worker", "api"].into_iter().enumerate() {
            let mut own = all.clone();
            if let Some(url) = urls.get(number % urls.len().max(1)) {
                own.push(("REDIS_URL", url));
            }
            processes.push(Cotiza::start(&[role], &own));
        }
        let client = http_client::local(Duration::from_secs(10)).expect("no TLS");
        let origin = format!("http://{listen}");
        let stack = Self { processes, origin, client, _exchange: exchange };
        let deadline = Instant::now() + SOON * 2;
        while stack.get("/health/ready").await.is_none() {
            let lines: Vec<String> = stack.processes.iter().flat_map(Cotiza::lines).collect();
            assert!(Instant::now() < deadline, "the API is not ready:\n{}", lines.join("\n"));
            sleep(Duration::from_millis(50)).await;
        }
        stack
    }

    /// Returns the JSON response of the API; `None` if it is not a success.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.origin)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        serde_json::from_str(&answer.text().await.ok()?).ok()
    }

    /// Returns the unix second of the newest sample of the API; 0 if it has none.
    pub async fn newest(&self) -> i64 {
        let latest = self.get("/api/latest/").await.unwrap_or_default();
        second(&latest)
    }

    /// Waits until two more slots are recorded and returns how long the first one took.
    pub async fn wait_for_samples(&self, what: &str, limit: Duration) -> Duration {
        let (before, started) = (self.newest().await, Instant::now());
        eventually(limit, &format!("recording {what}"), || async { self.newest().await > before })
            .await;
        let first = started.elapsed();
        eventually(SOON, &format!("recording continues {what}"), || async {
            self.newest().await > before + 1
        })
        .await;
        first
    }

    /// Checks that no slot has two samples.
    pub async fn check_no_duplicates(&self) {
        let list = self.get("/api/ticker-list/?page=last&page_size=1000").await.expect("a page");
        let times: Vec<i64> =
            list["results"].as_array().expect("samples").iter().map(second).collect();
        let seconds: BTreeSet<i64> = times.iter().copied().collect();
        assert_eq!(seconds.len(), times.len(), "a slot has two samples: {times:?}");
    }

    /// Checks that each ended slot since the first recorded one has exactly one sample or a reason. Returns
    /// the number of missed slots of each reason.
    pub async fn check_slots(&self) -> BTreeMap<String, u64> {
        self.check_no_duplicates().await;
        let mut last = None;
        for _ in 0..40 {
            let until = self.newest().await - 2;
            let coverage = self.get(&format!("/api/coverage/?until={until}")).await;
            if let Some(coverage) = coverage {
                let missed: HashMap<String, u64> =
                    serde_json::from_value(coverage["reasons"].clone()).unwrap_or_default();
                let without = missed.get("not_scheduled").copied().unwrap_or_default();
                last = Some(coverage);
                if without == 0 {
                    return missed.into_iter().filter(|(_, count)| *count > 0).collect();
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("slots have neither a sample nor a reason: {last:?}");
    }

    /// Returns the warnings and errors that all processes logged, without those of missed slots: on a busy
    /// machine a slot of one second may be missed.
    pub fn warnings(&self) -> Vec<String> {
        let lines = self.processes.iter().flat_map(Cotiza::lines);
        let is_warning = |line: &String| line.contains(" WARN ") || line.contains(" ERROR ");
        lines.filter(is_warning).filter(|line| !line.contains("job failed")).collect()
    }
}

/// Returns the unix second of a sample; 0 if the value is not a sample.
#[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
fn second(sample: &Value) -> i64 {
    sample["timestamp"].as_f64().unwrap_or_default() as i64
}
