//! The defects of the queue's library, each guarded against.

use std::time::Duration;

use cotiza::queue::{Caretaker, Enqueued};
use tokio::time::{sleep, timeout};

use crate::harness::{Act, Probe, QueueBench, RedisServer, SOON, Unreadable, eventually};

#[tokio::test]
async fn an_unreadable_payload_is_given_up_and_stops_nobody() {
    let bench = QueueBench::new().await;
    let unreadable = bench.enqueuer::<Unreadable>();
    unreadable.enqueue(&Unreadable("rubbish".to_owned())).await.unwrap();
    bench.enqueue(1, Act::Succeed).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.has_ended(1).await;
    eventually(SOON, "it is dead", || async { bench.finished("dead").await == 1 }).await;
    // Longer than it takes to find workers dead: nobody died of it, nothing comes back.
    bench.enqueue(2, Act::Sleep(Duration::from_secs(4))).await;
    bench.has_ended(2).await;
    assert_eq!((bench.log.begun(1), bench.log.begun(2)), (1, 1));
    assert_eq!(bench.finished("dead").await, 1);
}

#[tokio::test]
async fn a_worker_that_is_busy_for_long_is_not_taken_for_dead() {
    let mut bench = QueueBench::new().await;
    bench.config.worker.concurrency = 1;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    // Both are busy for longer than the three silent seconds that make a worker dead.
    bench.enqueue(1, Act::Sleep(Duration::from_secs(6))).await;
    bench.enqueue(2, Act::Sleep(Duration::from_secs(6))).await;
    bench.has_ended(1).await;
    bench.has_ended(2).await;
    bench.enqueue(3, Act::Succeed).await;
    bench.has_ended(3).await;
    assert_eq!((bench.log.begun(1), bench.log.begun(2)), (1, 1));
}

#[tokio::test]
async fn ids_without_data_or_metadata_are_taken_out_and_stop_nobody() {
    let bench = QueueBench::new().await;
    for id in [1, 2] {
        bench.enqueue(id, Act::Succeed).await;
    }
    let ids: Vec<String> = bench.database.command(&["LRANGE", "probe:active", "0", "-1"]).await;
    bench.database.command::<()>(&["HDEL", "probe:data", &ids[0]]).await;
    bench.database.command::<()>(&["DEL", &format!("probe:meta:{}", ids[1])]).await;
    let _workers = ["a", "b"].map(|name| bench.worker(name));
    bench.enqueue(3, Act::Succeed).await;
    bench.has_ended(3).await;
    // Also those that come while the workers work.
    bench.enqueue(4, Act::Sleep(Duration::from_secs(2))).await;
    bench.database.command::<()>(&["RPUSH", "probe:active", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await;
    bench.enqueue(5, Act::Succeed).await;
    bench.has_ended(5).await;
    let left: u32 = bench.database.command(&["LLEN", "probe:active"]).await;
    assert_eq!((left, bench.log.begun(1), bench.log.begun(2)), (0, 0, 0));
}

#[tokio::test]
async fn a_backlog_that_would_wedge_the_library_is_cut_to_its_newest_jobs() {
    let bench = QueueBench::new().await;
    let enqueuer = bench.enqueuer();
    for id in 0..9000 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    let _worker = bench.worker("w");
    bench.has_ended(8999).await;
    bench.enqueue(9001, Act::Succeed).await;
    bench.has_ended(9001).await;
    assert_eq!(bench.log.given_up(), 8000, "each job that was dropped is told of");
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    assert!(data <= 1001, "{data} payloads are left");
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up_after_some_tries() {
    let mut bench = QueueBench::new().await;
    bench.config.worker.drain = Duration::from_millis(1);
    bench.enqueue(1, Act::Sleep(Duration::from_mins(5))).await;
    for n in 1..=5 {
        // Each worker ends, by far too early, while the job runs.
        let worker = bench.worker(&format!("w{n}"));
        eventually(SOON, "it runs", || async { bench.log.begun(1) == n }).await;
        worker.stop.cancel();
        worker.running.await.unwrap();
    }
    let _last = bench.worker("last");
    eventually(SOON, "it is given up", || async { bench.finished("dead").await == 1 }).await;
    assert_eq!((bench.log.begun(1), bench.log.given_up()), (5, 1));
}

#[tokio::test]
async fn what_is_done_with_is_forgotten_after_its_time() {
    let mut bench = QueueBench::new().await;
    let worker = bench.worker("w");
    for id in 0..50 {
        let act = if id % 2 == 0 { Act::Succeed } else { Act::GiveUp };
        bench.enqueue(id, act).await;
    }
    let finished = || async { bench.finished("done").await + bench.finished("dead").await };
    eventually(SOON, "all are finished", || async { finished().await == 50 }).await;
    worker.stop.cancel();
    worker.running.await.unwrap();

    bench.config.queue.keep_done = Duration::ZERO;
    bench.config.queue.keep_dead = Duration::from_hours(1);
    sleep(Duration::from_secs(1)).await;
    let caretaker = Caretaker::new(&bench.database.server, vec!["probe"], &bench.config.queue);
    let forgotten = caretaker.tidy().await.unwrap();
    assert_eq!(forgotten, 25, "the jobs that were done");
    assert_eq!((bench.finished("done").await, bench.finished("dead").await), (0, 25));
    let data: u32 = bench.database.command(&["HLEN", "probe:data"]).await;
    let metas: Vec<String> = bench.database.command(&["KEYS", "probe:meta:*"]).await;
    assert_eq!((data, metas.len()), (25, 25));

    bench.config.queue.keep_dead = Duration::ZERO;
    let caretaker = Caretaker::new(&bench.database.server, vec!["probe"], &bench.config.queue);
    assert_eq!(caretaker.tidy().await.unwrap(), 25);
    let keys: Vec<String> = bench.database.command(&["KEYS", "probe:[^i]*"]).await;
    assert!(keys.is_empty(), "left behind: {keys:?}");
}

/// The library's own polling looks again only after seconds: it would take half a minute.
#[tokio::test]
async fn an_idle_worker_starts_a_job_that_comes_at_any_moment() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(0, Act::Succeed).await;
    bench.has_ended(0).await;
    let one_after_the_other = async {
        for id in 1..=12 {
            sleep(Duration::from_millis(137)).await;
            bench.enqueue(id, Act::Succeed).await;
            bench.has_ended(id).await;
        }
    };
    timeout(Duration::from_secs(15), one_after_the_other).await.expect("each is started soon");
}

#[tokio::test]
async fn a_job_outlives_the_connection_of_its_worker() {
    let server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_millis(1500))).await;
    eventually(SOON, "it runs", || async { bench.log.begun(1) == 1 }).await;
    bench.database.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    let ended = timeout(Duration::from_millis(1900), bench.has_ended(1)).await;
    ended.expect("the first run comes to its end, not a later one");
    bench.enqueue(2, Act::Succeed).await;
    bench.has_ended(2).await;
}

#[tokio::test]
async fn a_worker_may_come_back_under_its_name() {
    let bench = QueueBench::new().await;
    for id in 1..=3 {
        let worker = bench.worker("same");
        bench.enqueue(id, Act::Succeed).await;
        bench.has_ended(id).await;
        // Without taking leave: its name stays taken for a while.
        worker.running.abort();
    }
}

#[tokio::test]
async fn a_job_is_enqueued_at_the_first_try_after_redis_was_restarted() {
    let mut server = RedisServer::start();
    let bench = QueueBench::at(server.database()).await;
    let enqueuer = bench.enqueuer();
    enqueuer.enqueue(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    server.kill();
    server.restart();
    bench.database.answers().await;
    let again = enqueuer.enqueue(&Probe { id: 1, act: Act::Succeed }).await.unwrap();
    assert_eq!(again, Enqueued::Already, "its key was kept");
    assert_eq!(enqueuer.enqueue(&Probe { id: 2, act: Act::Succeed }).await.unwrap(), Enqueued::New);
}
