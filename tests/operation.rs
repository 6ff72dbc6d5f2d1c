//! Queues and jobs: what the API reports, and the actions of operators.

use std::time::Duration;

use cotiza::{
    jobs::FetchBtcArs,
    metrics::Metrics,
    queue::{EnqueueError, Enqueuer, Inspector, JobState},
};

use crate::harness::{Act, Api, Database, Probe, QueueBench, RedisServer, SOON, eventually};

/// Returns an inspector of the queue of the probes.
fn inspector(bench: &QueueBench) -> Inspector {
    Inspector::new(&bench.database.server, vec!["probe"], &bench.config.queue)
}

async fn count(inspector: &Inspector, state: JobState) -> u64 {
    inspector.queues().await.unwrap()[0].count(state)
}

#[tokio::test]
async fn waiting_jobs_are_listed_with_their_age() {
    let database = Database::new().await;
    let enqueuer = Enqueuer::<FetchBtcArs>::new(&database.server, Metrics::default());
    for slot in [1_717_184_860, 1_717_184_870] {
        enqueuer.enqueue(&FetchBtcArs { slot }).await.unwrap();
    }
    let api = Api::start(&database).await;
    let queue = api.get("/api/queues/").await.ok()["queues"][0].clone();
    assert_eq!((&queue["name"], &queue["waiting"]), (&"fetch_btc_ars".into(), &2.into()));
    assert!(queue["oldest_due_age"].is_f64() && queue["paused"].is_null(), "{queue}");
    let jobs = api.get("/api/jobs/?state=waiting&page_size=1").await.ok();
    assert_eq!(jobs["count"], 2);
    let newest = &jobs["results"][0];
    assert_eq!(newest["job"]["slot"], 1_717_184_870);
    assert!(newest["enqueued_at"].is_f64() && newest["started_at"].is_null(), "{newest}");
    let next = jobs["next"].as_str().unwrap();
    assert_eq!(api.get(next).await.ok()["results"][0]["job"]["slot"], 1_717_184_860);
}

#[tokio::test]
async fn invalid_parameters_of_the_job_list_are_named() {
    let api = Api::start(&Database::new().await).await;
    let problem = api.get("/api/jobs/?queue=fetch").await.problem(400);
    assert_eq!(problem["detail"], "\"fetch\" is not a queue: give fetch_btc_ars or housekeeping");
    let problem = api.get("/api/jobs/?state=lost").await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("waiting or running"), "{problem}");
    api.get("/api/jobs/?page=2").await.problem(404);
    assert_eq!(api.get("/api/jobs/").await.ok()["count"], 0);
}

#[tokio::test]
async fn a_dead_job_is_listed_with_its_error_and_its_times() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Fail).await;
    let inspector = inspector(&bench);
    eventually(SOON, "it is dead", || async { count(&inspector, JobState::Dead).await == 1 }).await;
    let jobs = inspector.jobs(&["probe"], &[JobState::Dead], 0, 10).await.unwrap();
    let job = &jobs[0];
    assert!(job.error.as_deref().unwrap().ends_with("as requested"), "{job:?}");
    assert_eq!((job.attempts, job.worker.as_deref()), (1, Some("w-1")));
    let times = [job.enqueued_ms, job.started_ms, job.ended_ms].map(Option::unwrap);
    assert!(times.is_sorted() && times[0] > 1_700_000_000_000, "{times:?}");
    assert_eq!(inspector.job(&job.id).await.unwrap().as_ref(), Some(job));
}

#[tokio::test]
async fn a_running_job_is_listed_with_its_worker() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(2))).await;
    let inspector = inspector(&bench);
    eventually(SOON, "it runs", || async { count(&inspector, JobState::Running).await == 1 }).await;
    let jobs = inspector.jobs(&["probe"], &JobState::ALL, 0, 10).await.unwrap();
    assert_eq!((jobs[0].state, jobs[0].worker.as_deref()), (JobState::Running, Some("w-1")));
    let removed = inspector.remove("probe", JobState::Running, &[jobs[0].id.clone()]).await;
    assert!(removed.unwrap().is_empty(), "a running job cannot be removed");
    bench.wait_until_ended(1).await;
}

/// Returns a paused queue with one waiting job.
async fn paused_with_job() -> (QueueBench, Inspector) {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    bench.enqueue(1, Act::Succeed).await;
    assert!(inspector.pause("probe", "ana@host", "a test").await.unwrap());
    (bench, inspector)
}

#[tokio::test]
async fn a_paused_queue_accepts_no_jobs() {
    let (bench, _inspector) = paused_with_job().await;
    let refused = bench.enqueuer().enqueue(&Probe { id: 2, act: Act::Succeed }).await;
    assert!(matches!(refused, Err(EnqueueError::Paused { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_paused_queue_starts_no_jobs_until_it_is_resumed() {
    let (bench, inspector) = paused_with_job().await;
    let worker = bench.worker("w");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.log.starts(1), 0);
    assert!(inspector.resume("probe").await.unwrap());
    bench.wait_until_ended(1).await;
    assert!(!inspector.resume("probe").await.unwrap(), "it is no longer paused");
    worker.stop.cancel();
}

#[tokio::test]
async fn the_last_pause_of_a_queue_is_reported_with_its_note() {
    let (_bench, inspector) = paused_with_job().await;
    assert!(!inspector.pause("probe", "ana@host", "again").await.unwrap(), "it was paused already");
    let report = inspector.queues().await.unwrap().remove(0);
    let pause = report.paused.unwrap();
    assert_eq!((pause.by.as_str(), pause.note.as_str()), ("ana@host", "again"));
}

#[tokio::test]
async fn jobs_that_were_enqueued_before_a_pause_keep_their_order() {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    for id in 1..4 {
        bench.enqueue(id, Act::Succeed).await;
    }
    let order = async || -> Vec<String> {
        bench.database.command(&["LRANGE", "probe:active", "0", "-1"]).await
    };
    let before = order().await;
    inspector.pause("probe", "ana@host", "").await.unwrap();
    assert!(order().await.is_empty());
    assert_eq!(count(&inspector, JobState::Waiting).await, 3);
    inspector.resume("probe").await.unwrap();
    assert_eq!(order().await, before);
}

#[tokio::test]
async fn jobs_of_a_killed_worker_are_held_while_their_queue_is_paused() {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    let worker = bench.worker("first");
    bench.enqueue(1, Act::Sleep(Duration::from_hours(1))).await;
    eventually(SOON, "it runs", || async { bench.log.starts(1) == 1 }).await;
    inspector.pause("probe", "ana@host", "").await.unwrap();
    worker.running.abort();
    let _other = bench.worker("second");
    eventually(SOON, "it is held", || async {
        bench.database.command::<u64>(&["LLEN", "probe:held"]).await == 1
    })
    .await;
    assert_eq!(bench.log.starts(1), 1);
}

#[tokio::test]
async fn a_waiting_job_can_be_removed() {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    bench.enqueue(1, Act::Succeed).await;
    let jobs = inspector.jobs(&["probe"], &[JobState::Waiting], 0, 1).await.unwrap();
    let ids = [jobs[0].id.clone()];
    assert!(inspector.remove("probe", JobState::Done, &ids).await.unwrap().is_empty());
    let removed = inspector.remove("probe", JobState::Waiting, &ids).await.unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(inspector.job(&ids[0]).await.unwrap(), None);
    let _worker = bench.worker("w");
    bench.enqueue(2, Act::Succeed).await;
    bench.wait_until_ended(2).await;
    assert_eq!(bench.log.starts(1), 0, "the removed job was run");
}

#[tokio::test]
async fn finished_jobs_can_be_purged_with_their_payloads() {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    let _worker = bench.worker("w");
    for id in 2..12 {
        bench.enqueue(id, Act::Succeed).await;
    }
    eventually(SOON, "they are done", || async { count(&inspector, JobState::Done).await == 10 })
        .await;
    let payloads = async || bench.database.command::<u64>(&["HLEN", "probe:data"]).await;
    assert_eq!(payloads().await, 10);
    assert_eq!(inspector.purge("probe", JobState::Done).await.0.len(), 10);
    assert_eq!(count(&inspector, JobState::Done).await, 0);
    assert_eq!(payloads().await, 0, "payloads of jobs were not deleted");
}

#[tokio::test]
async fn a_manually_run_job_runs_although_its_key_was_enqueued_before() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Succeed).await;
    bench.wait_until_ended(1).await;
    let id = bench.enqueuer().enqueue_manually(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    let inspector = inspector(&bench);
    eventually(SOON, "it is done", || async {
        inspector.job(&id).await.unwrap().is_some_and(|job| job.state == JobState::Done)
    })
    .await;
    assert_eq!(bench.log.starts(1), 2);
}

#[tokio::test]
async fn the_newest_unclaimed_jobs_are_listed_when_no_worker_is_alive() {
    let bench = QueueBench::new().await;
    let enqueuer = bench.enqueuer::<Probe>();
    for id in 0..105 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    // The list is empty just after a connection is opened.
    eventually(SOON, "unclaimed jobs are listed", || async {
        !enqueuer.unclaimed(&bench.config.queue).await.unwrap().is_empty()
    })
    .await;
    let jobs = enqueuer.unclaimed(&bench.config.queue).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), (5..105).collect::<Vec<_>>());
    let _worker = bench.worker("w");
    bench.wait_until_ended(104).await;
    bench.enqueue(200, Act::Sleep(Duration::from_secs(1))).await;
    assert_eq!(
        enqueuer.unclaimed(&bench.config.queue).await.unwrap().len(),
        0,
        "a worker is alive"
    );
}

#[tokio::test]
async fn jobs_can_be_listed_and_purged_and_queues_resumed_while_redis_is_full() {
    let server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let inspector = inspector(&bench);
    let worker = bench.worker("w");
    bench.enqueue(1, Act::Succeed).await;
    bench.wait_until_ended(1).await;
    eventually(SOON, "it is done", || async { count(&inspector, JobState::Done).await == 1 }).await;
    worker.running.abort();
    bench.enqueue(2, Act::Succeed).await;
    inspector.pause("probe", "ana@host", "").await.unwrap();
    bench.database.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let all = inspector.count(&["probe"], &JobState::ALL).await.unwrap();
    let jobs = inspector.jobs(&["probe"], &JobState::ALL, 0, 10).await.unwrap();
    assert_eq!((all, jobs.len()), (2, 2));
    let (removed, ended) = inspector.purge("probe", JobState::Done).await;
    assert_eq!((removed.len(), ended.is_ok()), (1, true));
    assert!(inspector.resume("probe").await.unwrap());
    assert!(inspector.pause("probe", "ana@host", "").await.is_ok(), "it can be paused");
}
