//! The commands for operators, run with the real binary next to real processes.

use std::time::Duration;

use cotiza::{domain::MissedReason, store::keys};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Cotiza, Database, FakeExchange, SOON, eventually, free_port, get_text, run};

const PAUSE: [&str; 5] = ["queue", "pause", "fetch_btc_ars", "--note", "a test"];

/// A Redis and an exchange for processes with slots of one second.
struct Site {
    database: Database,
    exchange: FakeExchange,
}

impl Site {
    /// Returns a site whose first sample is 20 s old.
    async fn new() -> Self {
        let site = Self { database: Database::new().await, exchange: FakeExchange::start().await };
        let now = site.database.now().await;
        site.database.record(&[(now - 20, "84000000")]).await;
        site
    }

    /// Returns a site with a waiting job, where neither a worker nor a scheduler runs.
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

    /// Runs a command that succeeds and returns its output.
    async fn succeed(&self, arguments: &[&str]) -> String {
        let output = run(arguments, &self.environment()).await;
        assert_eq!(output.code, 0, "{arguments:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a command that fails and returns its error output.
    async fn fail(&self, arguments: &[&str]) -> String {
        let output = run(arguments, &self.environment()).await;
        assert_eq!(output.code, 1, "{arguments:?}: {}{}", output.stdout, output.stderr);
        output.stderr
    }

    async fn missed(&self, reason: MissedReason) -> u64 {
        self.database.command(&["ZCARD", &keys::missed(reason)]).await
    }

    async fn recorded(&self) -> usize {
        self.database.prices().await.len()
    }
}

#[tokio::test]
async fn slots_without_a_worker_have_the_reason_no_worker() {
    let site = Site::new().await;
    let _scheduler = site.start("scheduler");
    eventually(SOON, "slots without a worker", || async {
        site.missed(MissedReason::NoWorker).await >= 3
    })
    .await;
    let _worker = site.start("worker");
    eventually(SOON, "recording", || async { site.recorded().await >= 3 }).await;
    let slots = async |reason| -> Vec<String> {
        let key = keys::missed(reason);
        site.database.command(&["ZRANGE", &key, "0", "-1"]).await
    };
    let (no_worker, too_late) =
        (slots(MissedReason::NoWorker).await, slots(MissedReason::TooLate).await);
    let both: Vec<_> = no_worker.iter().filter(|slot| too_late.contains(slot)).collect();
    assert!(both.is_empty(), "the first reason must stay: {both:?}");
}

#[tokio::test]
async fn slots_of_a_paused_queue_have_the_reason_paused_and_recording_continues_after_resume() {
    let site = Site::new().await;
    let (_scheduler, _worker) = (site.start("scheduler"), site.start("worker"));
    eventually(SOON, "recording", || async { site.recorded().await >= 3 }).await;
    site.succeed(&PAUSE).await;
    eventually(SOON, "slots are missed", || async { site.missed(MissedReason::Paused).await >= 3 })
        .await;
    let before = site.recorded().await;
    site.succeed(&["queue", "resume", "fetch_btc_ars"]).await;
    eventually(SOON, "recording", || async { site.recorded().await >= before + 3 }).await;
}

#[tokio::test]
async fn a_paused_queue_is_listed_with_its_note_and_runs_no_job_manually() {
    let site = Site::new().await;
    assert!(site.succeed(&PAUSE).await.contains("is paused"));
    assert!(site.succeed(&PAUSE).await.contains("was already paused"));
    let listed = site.succeed(&["queue", "ls"]).await;
    assert!(listed.contains("a test"), "{listed}");
    let refused = site.fail(&["job", "run", "fetch_btc_ars"]).await;
    assert!(refused.contains("the queue fetch_btc_ars is paused"), "{refused}");
}

#[tokio::test]
async fn the_status_fails_while_a_queue_is_paused() {
    let site = Site::new().await;
    site.succeed(&PAUSE).await;
    let status = run(&["status", "--json"], &site.environment()).await;
    assert_eq!(status.code, 1, "{}", status.stdout);
    assert!(status.stdout.contains("\"queue_paused\""), "{}", status.stdout);
}

#[tokio::test]
async fn the_audit_log_has_the_actions_of_operators_newest_first() {
    let site = Site::new().await;
    site.succeed(&PAUSE).await;
    site.succeed(&["queue", "resume", "fetch_btc_ars"]).await;
    let audit = site.succeed(&["audit"]).await;
    let lines: Vec<&str> = audit.lines().collect();
    assert!(lines[1].contains("queue resume fetch_btc_ars"), "{audit}");
    assert!(lines[2].contains("queue pause fetch_btc_ars") && lines[2].ends_with("a test"));
}

#[tokio::test]
async fn the_status_and_the_processes_are_printed_as_text_and_as_json() {
    let site = Site::new().await;
    let processes = ["scheduler", "worker"].map(|role| site.start(role));
    eventually(SOON, "all is well", || async {
        run(&["status"], &site.environment()).await.code == 0
    })
    .await;
    let screen = site.succeed(&["status"]).await;
    for part in ["price  ", "last 24 h  ", "schedulers: 1, workers: 1", "QUEUE  ", "buenbit"] {
        assert!(screen.contains(part), "no {part:?} in {screen}");
    }
    let status: Value = serde_json::from_str(&site.succeed(&["status", "--json"]).await).unwrap();
    assert_eq!(status["processes"]["worker"], 1);
    assert_eq!(status["problems"], serde_json::json!([]));
    let listed = site.succeed(&["process", "ls", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["processes"].as_array().unwrap().len(), processes.len(), "{listed}");
}

#[tokio::test]
async fn jobs_can_be_run_listed_shown_and_deleted_manually() {
    let site = Site::new().await;
    let (_scheduler, _worker) = (site.start("scheduler"), site.start("worker"));
    let done = site.succeed(&["job", "run", "housekeeping", "--note", "now"]).await;
    let id = done.split(' ').nth(1).unwrap();
    assert!(done.contains("is done"), "{done}");
    let shown = site.succeed(&["job", "show", id]).await;
    assert!(shown.contains("housekeeping") && shown.contains("done"), "{shown}");
    let listed = site.succeed(&["job", "ls", "--queue", "housekeeping", "--json"]).await;
    assert!(listed.contains(id), "{listed}");
    assert!(site.fail(&["job", "cancel", id]).await.contains("is done; only waiting jobs"));
    site.succeed(&["job", "delete", id]).await;
    assert!(site.fail(&["job", "show", id]).await.contains("there is no job"));
}

#[tokio::test]
async fn a_job_cannot_be_run_for_a_past_slot() {
    let site = Site::new().await;
    let past = site.fail(&["job", "run", "fetch_btc_ars", "--slot", "1717184864"]).await;
    assert!(past.contains("give the current slot"), "{past}");
}

#[tokio::test]
async fn an_unknown_queue_is_refused_with_the_names_of_all_queues() {
    let site = Site::new().await;
    for arguments in [&["job", "run", "fetch"][..], &["queue", "pause", "fetch"]] {
        let output = run(arguments, &site.environment()).await;
        assert_eq!(output.code, 64, "{arguments:?}");
        assert!(output.stderr.contains("[possible values: fetch_btc_ars, housekeeping]"));
    }
}

#[tokio::test]
async fn slots_of_purged_jobs_have_a_reason() {
    let site = Site::with_waiting_job().await;
    site.succeed(&["queue", "purge", "fetch_btc_ars", "--state", "waiting"]).await;
    assert!(
        site.missed(MissedReason::Paused).await + site.missed(MissedReason::NoWorker).await >= 1
    );
    assert_eq!(site.database.command::<u64>(&["LLEN", "fetch_btc_ars:active"]).await, 0);
}

#[tokio::test]
async fn the_slot_of_a_job_waiting_in_a_paused_queue_has_the_reason_paused() {
    let site = Site::with_waiting_job().await;
    let paused = site.succeed(&["queue", "pause", "fetch_btc_ars", "--json"]).await;
    let paused: Value = serde_json::from_str(&paused).unwrap();
    assert_eq!((&paused["paused"], &paused["changed"]), (&true.into(), &true.into()));
    assert!(site.missed(MissedReason::Paused).await >= 1);
}

#[tokio::test]
async fn sigterm_ends_the_wait_for_a_job() {
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
async fn a_worker_that_runs_jobs_but_records_nothing_is_unhealthy() {
    let site = Site::new().await;
    let mut environment = site.environment();
    environment.push(("COTIZA__API__STALE_AFTER", "5s"));
    let (_scheduler, _worker) =
        (Cotiza::start(&["scheduler"], &environment), Cotiza::start(&["worker"], &environment));
    let health = async || run(&["healthcheck", "worker"], &environment).await;
    eventually(SOON, "it is healthy", || async { health().await.code == 0 }).await;
    let healthy = health().await.stdout;
    assert!(healthy.starts_with("the worker is healthy; the last price is "), "{healthy}");
    site.exchange.set_response(Duration::ZERO, 500, "");
    eventually(SOON, "it is unhealthy", || async { health().await.code == 1 }).await;
    let unhealthy = health().await.stderr;
    assert!(unhealthy.contains("have recorded nothing for 5 s"), "{unhealthy}");
    environment.push(("COTIZA__WORKER__UNHEALTHY_WHEN_STALE", "false"));
    assert_eq!(run(&["healthcheck", "worker"], &environment).await.code, 0);
}

#[tokio::test]
async fn a_worker_serves_its_own_metrics_if_configured() {
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
    eventually(SOON, "the API reports the jobs of all processes", || async {
        let api = crate::harness::Api::start(&site.database).await;
        api.get("/metrics")
            .await
            .text
            .contains("\ncotiza_jobs_enqueued_total{queue=\"fetch_btc_ars\"}")
    })
    .await;
}

#[tokio::test]
async fn completions_and_manual_pages_are_generated() {
    let site = Site::new().await;
    assert!(site.succeed(&["completions", "bash"]).await.contains("_cotiza"));
    let folder = tempfile::tempdir().unwrap();
    site.succeed(&["manual", folder.path().to_str().unwrap()]).await;
    let page = std::fs::read_to_string(folder.path().join("cotiza-queue-pause.1")).unwrap();
    assert!(page.contains("--note") || page.contains("\\-\\-note"), "{page}");
    let error = site.fail(&["manual", "/nowhere"]).await;
    assert!(error.contains("cannot write to /nowhere"), "{error}");
}

#[tokio::test]
async fn a_command_without_redis_reports_the_address_and_advice() {
    let url = format!("redis://:secret@127.0.0.1:{}/0", free_port());
    let output = run(&["queue", "ls", "--redis-url", &url], &[]).await;
    assert_eq!(output.code, 1);
    let address = "cannot reach Redis at redis://:***@127.0.0.1:";
    assert!(output.stderr.contains(address), "{}", output.stderr);
    for part in
        ["that Redis is running", "--redis-url or REDIS_URL", "`cotiza up`", "cotiza doctor"]
    {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    let output = run(&["status", "--redis-url", &url], &[]).await;
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("redis       unavailable"), "{}", output.stdout);
}
