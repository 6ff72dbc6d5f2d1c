//! What operators do with the real binary, beside real processes.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Cotiza, Database, FakeExchange, SOON, eventually, free_port, get_text, run};

/// A Redis and an exchange for processes with a slot a second.
struct Site {
    database: Database,
    exchange: FakeExchange,
}

impl Site {
    /// A site where recording has begun a while ago.
    async fn new() -> Self {
        let site = Self { database: Database::new().await, exchange: FakeExchange::start().await };
        let now: i64 = site.database.command::<Vec<i64>>(&["TIME"]).await[0];
        site.database.record(&[(now - 20, "84000000")]).await;
        site
    }

    /// A site where a job waits, and neither a worker nor a scheduler runs.
    async fn with_waiting_job() -> Self {
        let site = Self::new().await;
        let scheduler = site.start("scheduler");
        eventually(SOON, "a job waits", || async {
            site.database.command::<u64>(&["LLEN", "fetch_btc_ars:active"]).await >= 1
        })
        .await;
        drop(scheduler);
        site
    }

    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("REDIS_URL", self.database.url.as_str()),
            ("COTIZA__SCHEDULE__EVERY", "1s"),
            ("COTIZA__SOURCES__BUENBIT__URL", self.exchange.url.as_str()),
        ]
    }

    fn start(&self, role: &str) -> Cotiza {
        Cotiza::start(&[role], &self.environment())
    }

    /// What a command that succeeds prints.
    async fn prints(&self, arguments: &[&str]) -> String {
        let output = run(arguments, &self.environment()).await;
        assert_eq!(output.code, 0, "{arguments:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// The complaint of a command that fails.
    async fn refuses(&self, arguments: &[&str]) -> String {
        let output = run(arguments, &self.environment()).await;
        assert_eq!(output.code, 1, "{arguments:?}: {}{}", output.stdout, output.stderr);
        output.stderr
    }

    async fn missed(&self, reason: &str) -> u64 {
        self.database.command(&["ZCARD", &format!("{{prices}}:missed:{reason}")]).await
    }

    async fn recorded(&self) -> usize {
        self.database.prices().await.len()
    }
}

#[tokio::test]
async fn slots_that_no_worker_took_have_that_reason() {
    let site = Site::new().await;
    let _scheduler = site.start("scheduler");
    eventually(SOON, "slots without a worker", || async { site.missed("no_worker").await >= 3 })
        .await;
    let _worker = site.start("worker");
    eventually(SOON, "recording", || async { site.recorded().await >= 3 }).await;
    assert_eq!(site.missed("too_late").await, 0, "the first reason stays");
}

#[tokio::test]
async fn slots_of_a_paused_queue_have_that_reason_and_recording_goes_on_after_it() {
    let site = Site::new().await;
    let (_scheduler, _worker) = (site.start("scheduler"), site.start("worker"));
    eventually(SOON, "recording", || async { site.recorded().await >= 3 }).await;
    let pause = ["queue", "pause", "fetch_btc_ars", "--note", "a test"];
    assert!(site.prints(&pause).await.contains("is paused"));
    assert!(site.prints(&pause).await.contains("was paused already"));
    eventually(SOON, "slots are missed", || async { site.missed("paused").await >= 3 }).await;
    let listed = site.prints(&["queue", "ls"]).await;
    assert!(listed.contains("a test"), "{listed}");
    let refused = site.refuses(&["job", "run", "fetch_btc_ars"]).await;
    assert!(refused.contains("the queue fetch_btc_ars is paused"), "{refused}");
    let status = run(&["status", "--json"], &site.environment()).await;
    assert_eq!(status.code, 1, "{}", status.stdout);
    assert!(status.stdout.contains("\"queue_paused\""), "{}", status.stdout);
    let before = site.recorded().await;
    site.prints(&["queue", "resume", "fetch_btc_ars"]).await;
    eventually(SOON, "recording", || async { site.recorded().await >= before + 3 }).await;
    let audit = site.prints(&["audit"]).await;
    let lines: Vec<&str> = audit.lines().collect();
    assert!(lines[1].contains("queue resume fetch_btc_ars"), "{audit}");
    assert!(lines[2].contains("queue pause fetch_btc_ars") && lines[2].ends_with("a test"));
}

#[tokio::test]
async fn the_status_is_one_screen_and_the_same_json_as_the_api() {
    let site = Site::new().await;
    let processes = ["scheduler", "worker"].map(|role| site.start(role));
    eventually(SOON, "all is well", || async {
        run(&["status"], &site.environment()).await.code == 0
    })
    .await;
    let screen = site.prints(&["status"]).await;
    for part in ["price  ", "last 24 h  ", "schedulers: 1, workers: 1", "QUEUE  ", "buenbit"] {
        assert!(screen.contains(part), "no {part:?} in {screen}");
    }
    let status: Value = serde_json::from_str(&site.prints(&["status", "--json"]).await).unwrap();
    assert_eq!(status["processes"]["worker"], 1);
    assert_eq!(status["problems"], serde_json::json!([]));
    let listed = site.prints(&["process", "ls", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["processes"].as_array().unwrap().len(), processes.len(), "{listed}");
}

#[tokio::test]
async fn jobs_are_run_listed_shown_and_deleted_by_hand() {
    let site = Site::new().await;
    let (_scheduler, _worker) = (site.start("scheduler"), site.start("worker"));
    let done = site.prints(&["job", "run", "housekeeping", "--note", "now"]).await;
    let id = done.split(' ').nth(1).unwrap();
    assert!(done.contains("is done"), "{done}");
    let shown = site.prints(&["job", "show", id]).await;
    assert!(shown.contains("housekeeping") && shown.contains("done"), "{shown}");
    let listed = site.prints(&["job", "ls", "--queue", "housekeeping", "--json"]).await;
    assert!(listed.contains(id), "{listed}");
    assert!(site.refuses(&["job", "cancel", id]).await.contains("is done; only a waiting one"));
    site.prints(&["job", "delete", id]).await;
    assert!(site.refuses(&["job", "show", id]).await.contains("there is no job"));
    let past = site.refuses(&["job", "run", "fetch_btc_ars", "--slot", "1717184864"]).await;
    assert!(past.contains("a price of now is not one of then"), "{past}");
    for arguments in [&["job", "run", "fetch"][..], &["queue", "pause", "fetch"]] {
        let output = run(arguments, &site.environment()).await;
        assert_eq!(output.code, 64, "{arguments:?}");
        assert!(output.stderr.contains("[possible values: fetch_btc_ars, housekeeping]"));
    }
}

#[tokio::test]
async fn jobs_that_an_operator_removes_are_told_as_the_reason() {
    let site = Site::with_waiting_job().await;
    site.prints(&["queue", "purge", "fetch_btc_ars", "--state", "waiting"]).await;
    assert!(site.missed("paused").await + site.missed("no_worker").await >= 1);
    assert_eq!(site.database.command::<u64>(&["LLEN", "fetch_btc_ars:active"]).await, 0);
}

#[tokio::test]
async fn a_job_that_waits_when_its_queue_is_paused_has_that_reason() {
    let site = Site::with_waiting_job().await;
    let paused = site.prints(&["queue", "pause", "fetch_btc_ars", "--json"]).await;
    let paused: Value = serde_json::from_str(&paused).unwrap();
    assert_eq!((&paused["paused"], &paused["changed"]), (&true.into(), &true.into()));
    assert!(site.missed("paused").await >= 1);
}

#[tokio::test]
async fn the_wait_for_a_job_ends_when_it_is_asked_to() {
    let site = Site::new().await;
    let waiting = Cotiza::start(&["job", "run", "housekeeping"], &site.environment());
    eventually(SOON, "the job waits", || async {
        site.database.command::<u64>(&["LLEN", "housekeeping:active"]).await == 1
    })
    .await;
    let ended = waiting.end(Signal::SIGTERM, Duration::from_secs(5)).await;
    assert_eq!(ended.code(), Some(1));
}

#[tokio::test]
async fn a_worker_that_has_jobs_and_records_nothing_is_unhealthy() {
    let site = Site::new().await;
    let mut environment = site.environment();
    environment.push(("COTIZA__API__STALE_AFTER", "5s"));
    let (_scheduler, _worker) =
        (Cotiza::start(&["scheduler"], &environment), Cotiza::start(&["worker"], &environment));
    let health = async || run(&["healthcheck", "worker"], &environment).await;
    eventually(SOON, "it is well", || async { health().await.code == 0 }).await;
    let well = health().await.stdout;
    assert!(well.starts_with("the worker is well; the last price is "), "{well}");
    site.exchange.answers(Duration::ZERO, 500, "");
    eventually(SOON, "it is unwell", || async { health().await.code == 1 }).await;
    let complaint = health().await.stderr;
    assert!(complaint.contains("have recorded nothing for 5 s"), "{complaint}");
    environment.push(("COTIZA__WORKER__UNHEALTHY_WHEN_STALE", "false"));
    assert_eq!(run(&["healthcheck", "worker"], &environment).await.code, 0);
}

#[tokio::test]
async fn a_worker_tells_its_own_metrics_where_that_is_wanted() {
    let site = Site::new().await;
    let (listen, mut environment) = (format!("127.0.0.1:{}", free_port()), site.environment());
    let _scheduler = site.start("scheduler");
    environment.push(("COTIZA__METRICS__LISTEN", &listen));
    let _worker = Cotiza::start(&["worker"], &environment);
    let metrics = async || get_text(&format!("http://{listen}/metrics")).await.unwrap_or_default();
    eventually(SOON, "jobs are counted", || async {
        metrics().await.contains("cotiza_jobs_succeeded_total{queue=\"fetch_btc_ars\"} ")
    })
    .await;
    let text = metrics().await;
    assert!(text.contains("cotiza_exchange_latency_seconds_count{source=\"buenbit\"}"), "{text}");
    assert!(text.contains("role=\"worker\"} 1"), "{text}");
    eventually(SOON, "all processes' jobs are added up", || async {
        let api = crate::harness::Api::start(&site.database).await;
        api.get("/metrics")
            .await
            .text
            .contains("\ncotiza_jobs_enqueued_total{queue=\"fetch_btc_ars\"}")
    })
    .await;
}

#[tokio::test]
async fn completions_and_manual_pages_are_written() {
    let site = Site::new().await;
    assert!(site.prints(&["completions", "bash"]).await.contains("_cotiza"));
    let folder = tempfile::tempdir().unwrap();
    site.prints(&["manual", folder.path().to_str().unwrap()]).await;
    let page = std::fs::read_to_string(folder.path().join("cotiza-queue-pause.1")).unwrap();
    assert!(page.contains("--note") || page.contains("\\-\\-note"), "{page}");
    let complaint = site.refuses(&["manual", "/nowhere"]).await;
    assert!(complaint.contains("cannot write into /nowhere"), "{complaint}");
}

#[tokio::test]
async fn a_command_without_redis_names_the_address_and_what_to_do() {
    let url = format!("redis://:secret@127.0.0.1:{}/0", free_port());
    let output = run(&["queue", "ls", "--redis-url", &url], &[]).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("no Redis at redis://:***@127.0.0.1:"), "{}", output.stderr);
    for part in ["is Redis running", "--redis-url or REDIS_URL", "`cotiza up`", "cotiza doctor"] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    let output = run(&["status", "--redis-url", &url], &[]).await;
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("redis       away"), "{}", output.stdout);
}
