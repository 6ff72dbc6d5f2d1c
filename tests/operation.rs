//! Queues, jobs and processes: as the API tells them, and as operators change them.

use std::time::Duration;

use cotiza::{
    config::Config,
    jobs::{FetchBtcArs, QUEUES},
    metrics::{Metric, Metrics},
    queue::{EnqueueError, Enqueuer, Inspector, JobState},
    store::{Activity, Member, Role},
};

use crate::harness::{
    Act, Api, Database, Probe, QueueBench, RedisServer, SOON, eventually, observation,
};

/// An inspector of the queue of the probes.
fn inspector(bench: &QueueBench) -> Inspector {
    Inspector::new(&bench.database.server, vec!["probe"], &bench.config.queue)
}

async fn count(inspector: &Inspector, state: JobState) -> u64 {
    inspector.queues().await.unwrap()[0].count(state)
}

fn member(name: &str, role: Role) -> Member {
    Member {
        role,
        name: name.to_owned(),
        host: "host".to_owned(),
        pid: 7,
        version: "1.2.3",
        started_at: 1_717_184_864,
    }
}

#[tokio::test]
async fn waiting_jobs_are_told_with_their_age() {
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
async fn what_is_wrong_in_a_question_for_jobs_is_named() {
    let api = Api::start(&Database::new().await).await;
    let problem = api.get("/api/jobs/?queue=fetch").await.problem(400);
    assert_eq!(problem["detail"], "\"fetch\" is not a queue: give fetch_btc_ars or housekeeping");
    let problem = api.get("/api/jobs/?state=lost").await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("waiting or running"), "{problem}");
    api.get("/api/jobs/?page=2").await.problem(404);
    assert_eq!(api.get("/api/jobs/").await.ok()["count"], 0);
}

#[tokio::test]
async fn a_dead_job_is_told_with_its_error_and_its_times() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::GiveUp).await;
    let inspector = inspector(&bench);
    eventually(SOON, "it is dead", || async { count(&inspector, JobState::Dead).await == 1 }).await;
    let jobs = inspector.jobs(&["probe"], &[JobState::Dead], 0, 10).await.unwrap();
    let job = &jobs[0];
    assert!(job.error.as_deref().unwrap().ends_with("told to"), "{job:?}");
    assert_eq!((job.tries, job.worker.as_deref()), (1, Some("w-1")));
    let times = [job.enqueued_ms, job.begun_ms, job.ended_ms].map(Option::unwrap);
    assert!(times.is_sorted() && times[0] > 1_700_000_000_000, "{times:?}");
    assert_eq!(inspector.job(&job.id).await.unwrap().as_ref(), Some(job));
}

#[tokio::test]
async fn a_running_job_is_told_with_its_worker() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(2))).await;
    let inspector = inspector(&bench);
    eventually(SOON, "it runs", || async { count(&inspector, JobState::Running).await == 1 }).await;
    let jobs = inspector.jobs(&["probe"], &JobState::ALL, 0, 10).await.unwrap();
    assert_eq!((jobs[0].state, jobs[0].worker.as_deref()), (JobState::Running, Some("w-1")));
    let removed = inspector.remove("probe", JobState::Running, &[jobs[0].id.clone()]).await;
    assert!(removed.unwrap().is_empty(), "a running job cannot be removed");
    bench.has_ended(1).await;
}

#[tokio::test]
async fn a_paused_queue_takes_nothing_in_and_gives_nothing_out() {
    let bench = QueueBench::new().await;
    let (inspector, enqueuer) = (inspector(&bench), bench.enqueuer::<Probe>());
    bench.enqueue(1, Act::Succeed).await;
    assert!(inspector.pause("probe", "ana@host", "a test").await.unwrap());
    assert!(!inspector.pause("probe", "ana@host", "again").await.unwrap());
    let worker = bench.worker("w");
    let refused = enqueuer.enqueue(&Probe { id: 2, act: Act::Succeed }).await;
    assert!(matches!(refused, Err(EnqueueError::Paused { .. })), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.log.begun(1), 0);
    let report = inspector.queues().await.unwrap().remove(0);
    let pause = report.paused.unwrap();
    assert_eq!((pause.by.as_str(), pause.note.as_str()), ("ana@host", "again"));
    assert!(inspector.resume("probe").await.unwrap());
    bench.has_ended(1).await;
    assert!(!inspector.resume("probe").await.unwrap(), "it is not paused any more");
    worker.stop.cancel();
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
async fn jobs_of_a_worker_that_dies_while_its_queue_is_paused_are_held() {
    let bench = QueueBench::new().await;
    let inspector = inspector(&bench);
    let worker = bench.worker("dies");
    bench.enqueue(1, Act::Sleep(Duration::from_hours(1))).await;
    eventually(SOON, "it runs", || async { bench.log.begun(1) == 1 }).await;
    inspector.pause("probe", "ana@host", "").await.unwrap();
    worker.running.abort();
    let _other = bench.worker("lives");
    eventually(SOON, "it is held", || async {
        bench.database.command::<u64>(&["LLEN", "probe:held"]).await == 1
    })
    .await;
    assert_eq!(bench.log.begun(1), 1);
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_and_finished_ones_are_deleted() {
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
    for id in 2..12 {
        bench.enqueue(id, Act::Succeed).await;
    }
    eventually(SOON, "they are done", || async { count(&inspector, JobState::Done).await == 10 })
        .await;
    assert_eq!(bench.log.begun(1), 0);
    assert_eq!(inspector.purge("probe", JobState::Done).await.0.len(), 10);
    assert_eq!(count(&inspector, JobState::Done).await, 0);
    let left: u64 = bench.database.command(&["HLEN", "probe:data"]).await;
    assert_eq!(left, 0, "data of jobs is left");
}

#[tokio::test]
async fn a_job_run_by_hand_runs_although_its_key_was_enqueued_before() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Succeed).await;
    bench.has_ended(1).await;
    let id = bench.enqueuer().enqueue_by_hand(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    let inspector = inspector(&bench);
    eventually(SOON, "it is done", || async {
        inspector.job(&id).await.unwrap().is_some_and(|job| job.state == JobState::Done)
    })
    .await;
    assert_eq!(bench.log.begun(1), 2);
}

#[tokio::test]
async fn processes_are_told_until_they_take_leave() {
    let database = Database::new().await;
    let store = database.store();
    let worker = member("host-7.0a", Role::Worker);
    let activity = Activity { begun: Some(5), recorded: None };
    store.heartbeat(&worker, activity).await.unwrap();
    store.heartbeat(&member("host-8.0b", Role::Api), Activity::default()).await.unwrap();
    let api = Api::start(&database).await;
    let list = api.get("/api/processes/").await.ok();
    let told = &list["processes"][0];
    assert_eq!((&told["role"], &told["alive"]), (&"worker".into(), &true.into()), "{list}");
    assert_eq!((&told["pid"], &told["version"]), (&7.into(), &"1.2.3".into()), "{list}");
    assert_eq!(store.processes().await.unwrap()[0].activity, activity);
    store.leave(&worker).await.unwrap();
    let list = api.get("/api/processes/").await.ok();
    assert_eq!(list["processes"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["processes"][0]["role"], "api");
}

#[tokio::test]
async fn of_many_jobs_without_a_worker_the_newest_are_told() {
    let bench = QueueBench::new().await;
    let enqueuer = bench.enqueuer::<Probe>();
    for id in 0..105 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    // Not in the first moments of a connection.
    eventually(SOON, "jobs are told", || async {
        !enqueuer.unclaimed(&bench.config.queue).await.unwrap().is_empty()
    })
    .await;
    let jobs = enqueuer.unclaimed(&bench.config.queue).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), (5..105).collect::<Vec<_>>());
    let _worker = bench.worker("w");
    bench.has_ended(104).await;
    bench.enqueue(200, Act::Sleep(Duration::from_secs(1))).await;
    assert_eq!(
        enqueuer.unclaimed(&bench.config.queue).await.unwrap().len(),
        0,
        "a worker is alive"
    );
}

#[tokio::test]
async fn a_full_redis_lists_purges_and_resumes() {
    let server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let inspector = inspector(&bench);
    let worker = bench.worker("w");
    bench.enqueue(1, Act::Succeed).await;
    bench.has_ended(1).await;
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

#[tokio::test]
async fn what_cannot_be_read_is_told_and_the_rest_with_it() {
    let database = Database::new().await;
    database.command::<()>(&["SET", "{prices}:sums", "of somebody else"]).await;
    database.command::<()>(&["SET", "fetch_btc_ars:paused", "of somebody else"]).await;
    let api = Api::start(&database).await;
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("\ncotiza_redis_up 1"), "{metrics}");
    assert!(metrics.contains("\ncotiza_processes{role=\"worker\"} 0"), "{metrics}");
    let status = api.get("/api/status/").await.ok();
    let problem = &status["problems"][0];
    assert_eq!(problem["code"], "redis_data", "{status}");
    assert!(problem["text"].as_str().unwrap().starts_with("The queues cannot be read: "));
}

#[tokio::test]
async fn sums_that_arrive_twice_are_added_once() {
    let database = Database::new().await;
    let (store, metrics) = (database.store(), Metrics::default());
    metrics.count(Metric::JobsStarted, &["probe"]);
    let batch = metrics.batch().unwrap();
    for _ in 0..2 {
        store.add_sums("host-7.0a", &batch).await.unwrap();
    }
    store.add_sums("host-8.0b", &batch).await.unwrap();
    assert_eq!(store.sums().await.unwrap()["jobs_started|probe"], 2);
}

#[tokio::test]
async fn the_status_says_what_is_wrong_also_without_redis() {
    let mut server = RedisServer::start();
    let database = server.database();
    database.answers().await;
    let api = Api::start(&database).await;
    let codes = |status: &serde_json::Value| -> Vec<String> {
        let problems = status["problems"].as_array().unwrap().iter();
        problems.map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
    };
    let status = api.get("/api/status/").await.ok();
    assert_eq!(codes(&status), ["no_scheduler", "no_worker", "nothing_recorded"], "{status}");
    let now: i64 = database.command::<Vec<i64>>(&["TIME"]).await[0];
    database.record_one(&observation(now - 100, "84000000")).await;
    let store = database.store();
    store.heartbeat(&member("host-1.0a", Role::Scheduler), Activity::default()).await.unwrap();
    store.heartbeat(&member("host-2.0b", Role::Worker), Activity::default()).await.unwrap();
    let inspector = Inspector::new(&database.server, QUEUES.to_vec(), &Config::default().queue);
    inspector.pause("housekeeping", "ana@host", "a test").await.unwrap();
    eventually(SOON, "the price is known", || async {
        !api.get("/api/status/").await.ok()["price"].is_null()
    })
    .await;
    let status = api.get("/api/status/").await.ok();
    assert_eq!(codes(&status), ["queue_paused", "price_stale"], "{status}");
    assert_eq!(status["price"]["price"], 84_000_000.0);
    server.kill();
    let status = api.get("/api/status/").await.ok();
    assert_eq!(status["redis"]["up"], false);
    assert!(codes(&status).contains(&"redis_away".to_owned()), "{status}");
    assert_eq!((&status["processes"], &status["price"]["stale"]), (&().into(), &true.into()));
    let metrics = api.get("/metrics").await;
    assert!(metrics.text.contains("\ncotiza_redis_up 0"), "{}", metrics.text);
    assert!(metrics.text.contains("\ncotiza_price_pesos 84000000"), "{}", metrics.text);
}
