//! Processes, problems and metrics that the API reports, also without Redis and with unreadable data.

use cotiza::{
    config::Config,
    jobs::QUEUES,
    metrics::{Metric, Metrics},
    queue::Inspector,
    store::{Activity, ProcessInfo, Role, keys},
};

use crate::harness::{Api, Database, RedisServer, SOON, eventually};

fn process(name: &str, role: Role) -> ProcessInfo {
    ProcessInfo {
        role,
        name: name.to_owned(),
        host: "host".to_owned(),
        pid: 7,
        version: "1.2.3",
        started_at: 1_717_184_864,
    }
}

#[tokio::test]
async fn processes_are_listed_until_they_leave() {
    let database = Database::new().await;
    let store = database.store();
    let worker = process("host-7.0a", Role::Worker);
    let activity = Activity { started: Some(5), recorded: None };
    store.heartbeat(&worker, activity).await.unwrap();
    store.heartbeat(&process("host-8.0b", Role::Api), Activity::default()).await.unwrap();
    let api = Api::start(&database).await;
    let list = api.get("/api/processes/").await.ok();
    let listed = &list["processes"][0];
    assert_eq!((&listed["role"], &listed["alive"]), (&"worker".into(), &true.into()), "{list}");
    assert_eq!((&listed["pid"], &listed["version"]), (&7.into(), &"1.2.3".into()), "{list}");
    assert_eq!(store.processes().await.unwrap()[0].activity, activity);
    store.deregister(&worker).await.unwrap();
    let list = api.get("/api/processes/").await.ok();
    assert_eq!(list["processes"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["processes"][0]["role"], "api");
}

#[tokio::test]
async fn unreadable_data_is_reported_together_with_the_readable_rest() {
    let database = Database::new().await;
    database.command::<()>(&["SET", keys::SUMS, "unexpected"]).await;
    database.command::<()>(&["SET", "fetch_btc_ars:paused", "unexpected"]).await;
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
async fn a_batch_of_sums_sent_twice_is_added_once() {
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

/// Returns the codes of the problems that the status reports.
async fn problems(api: &Api) -> Vec<String> {
    let status = api.get("/api/status/").await.ok();
    let problems = status["problems"].as_array().unwrap().iter();
    problems.map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
}

/// Starts an API whose last price is 100 s old, and waits until it knows it. A scheduler and a worker run.
async fn with_stale_price(database: &Database) -> Api {
    let api = Api::start(database).await;
    database.record(&[(database.now().await - 100, "84000000")]).await;
    let store = database.store();
    store.heartbeat(&process("host-1.0a", Role::Scheduler), Activity::default()).await.unwrap();
    store.heartbeat(&process("host-2.0b", Role::Worker), Activity::default()).await.unwrap();
    eventually(SOON, "the price is known", || async {
        !api.get("/api/status/").await.ok()["price"].is_null()
    })
    .await;
    api
}

#[tokio::test]
async fn the_status_reports_that_no_process_runs() {
    let api = Api::start(&Database::new().await).await;
    assert_eq!(problems(&api).await, ["no_scheduler", "no_worker", "nothing_recorded"]);
}

#[tokio::test]
async fn the_status_reports_a_paused_queue_and_a_stale_price() {
    let database = Database::new().await;
    let api = with_stale_price(&database).await;
    let inspector = Inspector::new(&database.server, QUEUES.to_vec(), &Config::default().queue);
    inspector.pause("housekeeping", "ana@host", "a test").await.unwrap();
    assert_eq!(problems(&api).await, ["queue_paused", "price_stale"]);
    assert_eq!(api.get("/api/status/").await.ok()["price"]["price"], 84_000_000.0);
}

#[tokio::test]
async fn status_and_metrics_are_served_without_redis() {
    let mut server = RedisServer::start();
    let api = with_stale_price(&server.ready_database().await).await;
    server.kill();
    let status = api.get("/api/status/").await.ok();
    assert_eq!(status["redis"]["up"], false);
    assert!(problems(&api).await.contains(&"redis_away".to_owned()), "{status}");
    // Indexing alone would also return null for a field that does not exist.
    assert_eq!(status.get("processes"), Some(&().into()), "{status}");
    assert_eq!(status["price"]["stale"], true);
    let metrics = api.get("/metrics").await.text;
    assert!(metrics.contains("\ncotiza_redis_up 0"), "{metrics}");
    assert!(metrics.contains("\ncotiza_price_pesos 84000000"), "{metrics}");
}
