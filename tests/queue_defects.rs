//! Defects of the queue library: each has a workaround, which is tested here.

use std::time::Duration;

use cotiza::queue::{Enqueued, Janitor};
use tokio::time::{sleep, timeout};

use crate::harness::{Act, Probe, QueueBench, RedisServer, SOON, Unreadable, eventually};

#[tokio::test]
async fn a_job_with_an_unreadable_payload_is_dead_and_stops_no_worker() {
    let bench = QueueBench::new().await;
    let unreadable = bench.enqueuer::<Unreadable>();
    unreadable.enqueue(&Unreadable("rubbish".to_owned())).await.unwrap();
    bench.enqueue(1, Act::Succeed).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.wait_until_ended(1).await;
    eventually(SOON, "it is dead", || async { bench.finished("dead").await == 1 }).await;
    // This takes longer than the detection of dead workers: no worker died, and no job is run again.
    bench.enqueue(2, Act::Sleep(Duration::from_secs(4))).await;
    bench.wait_until_ended(2).await;
    assert_eq!((bench.log.starts(1), bench.log.starts(2)), (1, 1));
    assert_eq!(bench.finished("dead").await, 1);
}

#[tokio::test]
async fn a_worker_with_a_long_job_is_not_considered_dead() {
    let mut bench = QueueBench::new().await;
    bench.config.worker.concurrency = 1;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    // Both jobs take longer than the three seconds without a heartbeat after which a worker is dead.
    bench.enqueue(1, Act::Sleep(Duration::from_secs(6))).await;
    bench.enqueue(2, Act::Sleep(Duration::from_secs(6))).await;
    bench.wait_until_ended(1).await;
    bench.wait_until_ended(2).await;
    bench.enqueue(3, Act::Succeed).await;
    bench.wait_until_ended(3).await;
    assert_eq!((bench.log.starts(1), bench.log.starts(2)), (1, 1));
}

#[tokio::test]
async fn job_ids_without_data_or_metadata_are_removed_and_stop_no_worker() {
    let bench = QueueBench::new().await;
    for id in [1, 2] {
        bench.enqueue(id, Act::Succeed).await;
    }
    let ids: Vec<String> = bench.database.command(&["LRANGE", "probe:active", "0", "-1"]).await;
    bench.database.command::<()>(&["HDEL", "probe:data", &ids[0]]).await;
    bench.database.command::<()>(&["DEL", &format!("probe:meta:{}", ids[1])]).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.enqueue(3, Act::Succeed).await;
    bench.wait_until_ended(3).await;
    // The same applies to ids that appear while the workers run.
    bench.enqueue(4, Act::Sleep(Duration::from_secs(2))).await;
    bench.database.command::<()>(&["RPUSH", "probe:active", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await;
    bench.enqueue(5, Act::Succeed).await;
    bench.wait_until_ended(5).await;
    let left: u32 = bench.database.command(&["LLEN", "probe:active"]).await;
    assert_eq!((left, bench.log.starts(1), bench.log.starts(2)), (0, 0, 0));
}

#[tokio::test]
async fn a_backlog_that_would_block_the_library_is_cut_to_its_newest_jobs() {
    let bench = QueueBench::new().await;
    let enqueuer = bench.enqueuer();
    for id in 0..9000 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    let _worker = bench.worker("w");
    bench.wait_until_ended(8999).await;
    bench.enqueue(9001, Act::Succeed).await;
    bench.wait_until_ended(9001).await;
    assert_eq!(bench.log.discarded(), 8000, "each dropped job is reported as discarded");
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    assert!(data <= 1001, "{data} payloads remain");
}

#[tokio::test]
async fn a_poison_job_is_discarded_after_five_attempts() {
    let mut bench = QueueBench::new().await;
    bench.config.worker.drain = Duration::from_millis(1);
    bench.enqueue(1, Act::Sleep(Duration::from_mins(5))).await;
    for n in 1..=5 {
        // Each worker ends while the job still runs.
        let worker = bench.worker(&format!("w{n}"));
        eventually(SOON, "it runs", || async { bench.log.starts(1) == n }).await;
        worker.stop.cancel();
        worker.running.await.unwrap();
    }
    let _last = bench.worker("last");
    eventually(SOON, "it is dead", || async { bench.finished("dead").await == 1 }).await;
    assert_eq!((bench.log.starts(1), bench.log.discarded()), (5, 1));
}

#[tokio::test]
async fn finished_jobs_are_purged_after_their_retention() {
    let mut bench = QueueBench::new().await;
    let worker = bench.worker("w");
    for id in 0..50 {
        let act = if id % 2 == 0 { Act::Succeed } else { Act::Fail };
        bench.enqueue(id, act).await;
    }
    let finished = || async { bench.finished("done").await + bench.finished("dead").await };
    eventually(SOON, "all are finished", || async { finished().await == 50 }).await;
    worker.stop.cancel();
    worker.running.await.unwrap();

    bench.config.queue.keep_done = Duration::ZERO;
    bench.config.queue.keep_dead = Duration::from_hours(1);
    sleep(Duration::from_secs(1)).await;
    let janitor = Janitor::new(&bench.database.server, vec!["probe"], &bench.config.queue);
    let purged = janitor.purge_finished().await.unwrap();
    assert_eq!(purged, 25, "only the jobs that are done");
    assert_eq!((bench.finished("done").await, bench.finished("dead").await), (0, 25));
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    let metas: Vec<String> = bench.database.command(&["KEYS", "probe:meta:*"]).await;
    assert_eq!((data, metas.len()), (25, 25));

    bench.config.queue.keep_dead = Duration::ZERO;
    let janitor = Janitor::new(&bench.database.server, vec!["probe"], &bench.config.queue);
    assert_eq!(janitor.purge_finished().await.unwrap(), 25);
    let keys: Vec<String> = bench.database.command(&["KEYS", "probe:[^i]*"]).await;
    assert!(keys.is_empty(), "keys were not deleted: {keys:?}");
}

/// The library polls an idle queue only every few seconds, so this would take half a minute.
#[tokio::test]
async fn an_idle_worker_starts_a_new_job_at_once() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(0, Act::Succeed).await;
    bench.wait_until_ended(0).await;
    let jobs = async {
        for id in 1..=12 {
            sleep(Duration::from_millis(137)).await;
            bench.enqueue(id, Act::Succeed).await;
            bench.wait_until_ended(id).await;
        }
    };
    timeout(Duration::from_secs(15), jobs).await.expect("each job is started at once");
}

#[tokio::test]
async fn a_job_survives_a_lost_connection_of_its_worker() {
    let server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_millis(1500))).await;
    eventually(SOON, "it runs", || async { bench.log.starts(1) == 1 }).await;
    bench.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let ended = timeout(Duration::from_millis(1900), bench.wait_until_ended(1)).await;
    ended.expect("the first run ends, without a second run");
    bench.enqueue(2, Act::Succeed).await;
    bench.wait_until_ended(2).await;
}

#[tokio::test]
async fn a_worker_can_restart_with_the_same_name() {
    let bench = QueueBench::new().await;
    for id in 1..=3 {
        let worker = bench.worker("same");
        bench.enqueue(id, Act::Succeed).await;
        bench.wait_until_ended(id).await;
        // The worker does not unregister, so its name stays registered for a while.
        worker.running.abort();
    }
}

#[tokio::test]
async fn a_job_is_enqueued_at_the_first_attempt_after_a_restart_of_redis() {
    let mut server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let enqueuer = bench.enqueuer();
    enqueuer.enqueue(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    server.kill();
    server.restart();
    bench.database.wait_until_ready().await;
    let again = enqueuer.enqueue(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    assert_eq!(again, Enqueued::Already, "its key was still stored");
    assert_eq!(enqueuer.enqueue(&Probe { id: 2, act: Act::Succeed }).await.unwrap(), Enqueued::New);
}
