//! `cotiza up`: everything on one machine, killed child processes, an orderly stop.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Cotiza, SOON, eventually, free_port, get_text};

/// The longest time in which all processes stop.
pub const STOP: Duration = Duration::from_secs(8);

/// The environment of a `cotiza up` with its own data folder and ports.
pub struct Home {
    pub folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Home {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let port = || free_port().to_string();
        let variables = vec![
            ("COTIZA__SCHEDULE__EVERY", "1s".to_owned()),
            ("COTIZA__UP__DATA_DIR", folder.path().join("data").display().to_string()),
            ("COTIZA__UP__REDIS_PORT", port()),
            ("COTIZA__API__LISTEN", format!("127.0.0.1:{}", port())),
            ("COTIZA__EXCHANGE__LISTEN", format!("127.0.0.1:{}", port())),
        ];
        Self { folder, variables }
    }

    pub fn up(&self) -> Cotiza {
        Cotiza::start(&["up", "--simulate"], &self.variables())
    }

    /// Starts `cotiza up` and waits until two slots are recorded.
    pub async fn up_and_recording(&self) -> Cotiza {
        let up = self.up();
        up.wait_for_line("Cotiza is up.").await;
        self.wait_for_samples().await;
        up
    }

    pub fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    fn set(&mut self, name: &str, value: &str) {
        let variable = self.variables.iter_mut().find(|(known, _)| *known == name);
        value.clone_into(&mut variable.unwrap().1);
    }

    /// Returns the data folder of simulated prices.
    pub fn simulated_data(&self) -> PathBuf {
        self.folder.path().join("data-simulated")
    }

    /// Returns the password of the Redis of simulated prices.
    pub fn password(&self) -> String {
        let file = self.simulated_data().join("redis-password");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    pub fn value(&self, name: &str) -> &str {
        &self.variables.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Returns the number of samples that the API lists; `None` if it does not respond.
    async fn count(&self) -> Option<u64> {
        let url = format!("http://{}/api/ticker-list/", self.value("COTIZA__API__LISTEN"));
        let text = get_text(&url).await?;
        serde_json::from_str::<Value>(&text).ok()?["count"].as_u64()
    }

    /// Waits until two more slots are recorded.
    async fn wait_for_samples(&self) {
        eventually(SOON, "the API responds", || async { self.count().await.is_some() }).await;
        let before = self.count().await.expect("the API just responded");
        eventually(SOON, "recording", || async { self.count().await >= Some(before + 2) }).await;
    }
}

/// Returns the child processes of `parent` with their command lines.
pub fn children(parent: Pid) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let read =
            |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let ppid = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if ppid == Some(&parent.to_string()) {
            found.push((Pid::from_raw(pid), read("cmdline").replace('\0', " ")));
        }
    }
    found
}

fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[tokio::test]
async fn it_prints_addresses_and_that_prices_are_simulated() {
    let home = Home::new();
    let up = home.up();
    up.wait_for_line("Cotiza is up.").await;
    let origin = format!("http://{}", home.value("COTIZA__API__LISTEN"));
    let banner = [
        format!("  page  {origin}/"),
        format!("  API   {origin}/api/latest/"),
        format!("  docs  {origin}/docs"),
        "  data  redis://127.0.0.1:".to_owned(),
        "  SIMULATED PRICES, stored separately from real ones in ".to_owned(),
        "Ctrl-C stops it.".to_owned(),
    ];
    up.wait_for_line("Ctrl-C stops it.").await;
    let lines = up.lines();
    // Log lines may be printed in between.
    let is_banner = |line: &&String| line.starts_with("  ") || line.starts_with("Ctrl-C");
    let shown: Vec<&String> = lines.iter().filter(is_banner).collect();
    assert_eq!(shown.len(), banner.len(), "{shown:?}");
    for (line, expected) in shown.iter().zip(&banner) {
        assert!(line.starts_with(expected), "{expected}: {line}");
    }
}

#[tokio::test]
async fn it_runs_all_processes_and_stops_them() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    let processes = children(up.id());
    assert_eq!(
        processes.len(),
        6,
        "expected redis, exchange, api, two workers, scheduler: {processes:?}"
    );
    for name in ["redis ", "exchange ", "api ", "worker-1 ", "worker-2 ", "scheduler "] {
        assert!(up.lines().iter().any(|line| line.starts_with(name)), "no line of {name}");
    }
    let latest = format!("http://{}/api/latest/", home.value("COTIZA__API__LISTEN"));
    let latest = get_text(&latest).await.unwrap();
    assert!(latest.contains("\"source\":\"simulated\""), "{latest}");
    assert!(!home.folder.path().join("data").exists(), "the folder of real prices exists");
    let status = up.end(Signal::SIGHUP, STOP).await;
    assert_eq!(status.code(), Some(0));
    assert!(processes.iter().all(|(pid, _)| has_ended(*pid)), "still running: {processes:?}");
}

#[tokio::test]
async fn a_killed_child_is_restarted_and_samples_are_kept() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    let before = home.count().await.unwrap();
    for (pid, command) in children(up.id()) {
        kill(pid, Signal::SIGKILL).unwrap();
        eventually(SOON, &format!("another {command}"), || async {
            children(up.id()).iter().any(|(new, line)| *new != pid && *line == command)
        })
        .await;
    }
    eventually(SOON, "the API responds", || async { home.count().await.is_some() }).await;
    home.wait_for_samples().await;
    assert!(home.count().await.unwrap() > before);
    assert_eq!(up.end(Signal::SIGTERM, STOP).await.code(), Some(0));
}

#[tokio::test]
async fn a_killed_supervisor_leaves_no_process_and_the_next_one_uses_its_data() {
    let home = Home::new();
    let first = home.up_and_recording().await;
    let before = home.count().await.unwrap();
    let processes = children(first.id());
    assert_eq!(processes.len(), 6, "{processes:?}");
    first.end(Signal::SIGKILL, SOON).await;
    eventually(SOON, "all processes end", || async {
        processes.iter().all(|(pid, _)| has_ended(*pid))
    })
    .await;

    let second = home.up_and_recording().await;
    assert!(home.count().await.unwrap() >= before + 2);

    let third = home.up();
    let error = third.wait_for_line("cotiza: ").await;
    let listen = home.value("COTIZA__API__LISTEN");
    assert!(error.contains(listen), "{error}");
    assert_eq!(second.end(Signal::SIGTERM, STOP).await.code(), Some(0));
    assert!(home.simulated_data().join("appendonlydir").is_dir());
}

#[tokio::test]
async fn a_data_folder_or_a_redis_port_in_use_is_refused() {
    let home = Home::new();
    let up = home.up();
    up.wait_for_line("Cotiza is up.").await;
    for (name, message) in [
        ("COTIZA__UP__DATA_DIR", "is using the data folder"),
        ("COTIZA__UP__REDIS_PORT", "is in use by another program"),
    ] {
        let mut other = Home::new();
        other.set(name, home.value(name));
        other.up().wait_for_line(message).await;
    }
    home.wait_for_samples().await;
    assert_eq!(up.end(Signal::SIGTERM, STOP).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_sigint_leaves_no_process() {
    let home = Home::new();
    let up = home.up();
    up.wait_for_line("Cotiza is up.").await;
    let processes = children(up.id());
    up.signal(Signal::SIGINT);
    up.end(Signal::SIGINT, SOON).await;
    eventually(SOON, "all processes end", || async {
        processes.iter().all(|(pid, _)| has_ended(*pid))
    })
    .await;
}

/// Starts `cotiza up` with a log in JSON and waits until a price has been recorded; returns the message of this
/// and all messages before it.
async fn json_messages() -> (Value, Vec<Value>) {
    let mut home = Home::new();
    home.set("COTIZA__SCHEDULE__EVERY", "5s");
    let up = Cotiza::start(&["up", "--simulate", "--log-format", "json"], &home.variables());
    let recorded = up.wait_for_line("recorded a price").await;
    let lines = up.lines().into_iter().filter(|line| line.starts_with('{'));
    let messages = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert_eq!(up.end(Signal::SIGTERM, STOP).await.code(), Some(0));
    (serde_json::from_str(&recorded).unwrap(), messages)
}

#[tokio::test]
async fn json_log_lines_have_typed_fields_and_a_normal_start_logs_no_warning() {
    let (recorded, messages) = json_messages().await;
    for number in ["slot", "price"] {
        assert!(recorded[number].is_number(), "{number} in {recorded}");
    }
    for text in ["job", "process", "source"] {
        assert!(recorded[text].is_string(), "{text} in {recorded}");
    }
    assert_eq!(recorded["queue"], "fetch_btc_ars");
    for line in &messages {
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert!(matches!(line["level"].as_str(), Some("INFO" | "DEBUG")), "{line}");
        assert!(line["message"].is_string(), "{line}");
        for (name, value) in line.as_object().unwrap() {
            let is_quoted = value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
            assert!(!is_quoted, "a number is quoted: {name} in {line}");
        }
    }
}

#[tokio::test]
async fn every_role_logs_its_version_and_its_redis_when_it_starts() {
    let (_, messages) = json_messages().await;
    for role in ["scheduler", "worker", "api"] {
        let start = messages.iter().find(|line| line["role"] == role).unwrap();
        assert!(start["version"].as_str().unwrap().starts_with(env!("CARGO_PKG_VERSION")));
        assert!(start["redis"].as_str().unwrap().contains("//127.0.0.1:"), "{start}");
        assert_eq!(start["sources"] == "simulated", role == "worker", "{start}");
    }
    assert!(messages.iter().any(|line| line["process"] == "redis"), "no line of redis");
}

#[tokio::test]
async fn it_suggests_the_simulated_exchange_when_nothing_is_recorded() {
    let home = Home::new();
    let unreachable = format!("http://127.0.0.1:{}/", free_port());
    let mut variables = home.variables();
    variables.push(("COTIZA__SOURCES__BUENBIT__URL", unreachable.as_str()));
    let up = Cotiza::start(&["up"], &variables);
    up.wait_for_line("`cotiza up --simulate`").await;
    assert!(home.folder.path().join("data/appendonlydir").is_dir());
    assert_eq!(up.end(Signal::SIGTERM, STOP).await.code(), Some(0));
}
