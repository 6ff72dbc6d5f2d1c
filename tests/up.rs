//! `cotiza up`: everything on one machine, killed child processes, an orderly stop.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Cotiza, SOON, eventually, free_port, get_text, run};

/// The environment of a `cotiza up` with its own data folder and ports.
struct Home {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Home {
    fn new() -> Self {
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

    fn up(&self) -> Cotiza {
        Cotiza::start(&["up", "--simulate"], &self.variables())
    }

    /// Starts `cotiza up` and waits until two slots are recorded.
    async fn up_and_recording(&self) -> Cotiza {
        let up = self.up();
        up.wait_for_line("Cotiza is up.").await;
        self.wait_for_samples().await;
        up
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    fn value(&self, name: &str) -> &str {
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
fn children(parent: Pid) -> Vec<(Pid, String)> {
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
async fn it_runs_all_processes_prints_addresses_and_stops_them() {
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
    home.wait_for_samples().await;
    let latest = get_text(&format!("{origin}/api/latest/")).await.unwrap();
    assert!(latest.contains("\"source\":\"simulated\""), "{latest}");
    assert!(!home.folder.path().join("data").exists(), "the folder of real prices exists");
    let processes = children(up.id());
    assert_eq!(
        processes.len(),
        6,
        "expected redis, exchange, api, two workers, scheduler: {processes:?}"
    );
    for name in ["redis ", "exchange ", "api ", "worker-1 ", "worker-2 ", "scheduler "] {
        assert!(up.lines().iter().any(|line| line.starts_with(name)), "no line of {name}");
    }
    let status = up.end(Signal::SIGHUP, Duration::from_secs(8)).await;
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
    assert_eq!(up.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
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
    assert_eq!(second.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
    assert!(home.folder.path().join("data-simulated/appendonlydir").is_dir());
}

#[tokio::test]
async fn a_data_folder_or_a_redis_port_in_use_is_refused() {
    let home = Home::new();
    let up = home.up();
    up.wait_for_line("Cotiza is up.").await;

    let mut same_folder = Home::new();
    same_folder.variables[1].1 = home.value("COTIZA__UP__DATA_DIR").to_owned();
    same_folder.up().wait_for_line("is using the data folder").await;

    let mut same_port = Home::new();
    same_port.variables[2].1 = home.value("COTIZA__UP__REDIS_PORT").to_owned();
    same_port.up().wait_for_line("is in use by another program").await;
    home.wait_for_samples().await;
    assert_eq!(up.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
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

#[tokio::test]
async fn its_redis_requires_the_password_in_the_data_folder() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    let port = home.value("COTIZA__UP__REDIS_PORT");
    let send = async |password: &str, words: &[&str]| -> Result<redis::Value, String> {
        let url = format!("redis://{password}127.0.0.1:{port}/0");
        let client = redis::Client::open(url).unwrap();
        let connected = client.get_multiplexed_async_connection().await;
        let mut connection = connected.map_err(|error| error.to_string())?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.map_err(|error| error.to_string())
    };
    let refused = send("", &["ZCARD", "prices"]).await.unwrap_err();
    assert!(refused.contains("NOAUTH"), "{refused}");

    let data = home.folder.path().join("data-simulated");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("redis-password")), 0o600);
    assert_eq!(mode(&data.join("redis.conf")), 0o600);
    let password = std::fs::read_to_string(data.join("redis-password")).unwrap();
    let password = format!(":{}@", password.trim());
    send(&password, &["ZCARD", "prices"]).await.unwrap();
    for words in
        [&["FLUSHALL"][..], &["CONFIG", "SET", "bind", "0.0.0.0"], &["REPLICAOF", "NO", "ONE"]]
    {
        let refused = send(&password, words).await.unwrap_err();
        assert!(refused.contains("permissions"), "{words:?}: {refused}");
    }

    // Commands find the password in the data folder, even if the address is given or another data folder,
    // whose Redis does not run, exists.
    let other = home.folder.path().join("data");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("redis-password"), "of-real-prices").unwrap();
    let url = format!("redis://127.0.0.1:{port}/0");
    for arguments in [&["prices", "list"][..], &["prices", "list", "--redis-url", &url]] {
        let listed = run(arguments, &home.variables()).await;
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        assert!(listed.stdout.lines().count() > 2, "{}", listed.stdout);
    }
    for (_, line) in children(up.id()) {
        assert!(!line.contains(password.trim_matches([':', '@'])), "a password in {line}");
    }
}

#[tokio::test]
async fn a_damaged_append_only_file_is_an_error_with_advice() {
    let home = Home::new();
    let up = home.up_and_recording().await;
    assert_eq!(up.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
    let folder = home.folder.path().join("data-simulated/appendonlydir");
    let file = folder.join("appendonly.aof.1.incr.aof");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20..40].fill(b'!');
    std::fs::write(&file, bytes).unwrap();
    let up = home.up();
    let line = up.wait_for_line("cotiza: ").await;
    for part in ["Bad file format", "redis-check-aof --fix", "appendonly.aof.manifest"] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    let status = up.wait_for_exit().await;
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn json_log_lines_are_complete_and_a_normal_start_logs_no_warning() {
    let mut home = Home::new();
    home.variables[0].1 = "5s".to_owned();
    let up = Cotiza::start(&["up", "--simulate", "--log-format", "json"], &home.variables());
    let recorded: Value =
        serde_json::from_str(&up.wait_for_line("recorded a price").await).unwrap();
    for number in ["slot", "price"] {
        assert!(recorded[number].is_number(), "{number} in {recorded}");
    }
    for text in ["job", "process", "source"] {
        assert!(recorded[text].is_string(), "{text} in {recorded}");
    }
    assert_eq!(recorded["queue"], "fetch_btc_ars");
    let lines = up.lines();
    let lines = lines.iter().filter(|line| line.starts_with('{'));
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert!(matches!(line["level"].as_str(), Some("INFO" | "DEBUG")), "{line}");
        assert!(line["message"].is_string(), "{line}");
        for (name, value) in line.as_object().unwrap() {
            let is_quoted = value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
            assert!(!is_quoted, "a number is quoted: {name} in {line}");
        }
    }
    for role in ["scheduler", "worker", "api"] {
        let start = lines.iter().find(|line| line["role"] == role).unwrap();
        assert!(start["version"].as_str().unwrap().starts_with(env!("CARGO_PKG_VERSION")));
        assert!(start["redis"].as_str().unwrap().contains("//127.0.0.1:"), "{start}");
        assert_eq!(start["sources"] == "simulated", role == "worker", "{start}");
    }
    assert!(lines.iter().any(|line| line["process"] == "redis"), "no line of redis");
    assert_eq!(up.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
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
    assert_eq!(up.end(Signal::SIGTERM, Duration::from_secs(8)).await.code(), Some(0));
}
