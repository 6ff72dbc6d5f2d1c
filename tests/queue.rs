//! The guarantees of the queue.

use std::time::Duration;

use cotiza::queue::{Enqueued, Enqueuer};
use futures_util::future::join_all;

use crate::harness::{Act, Probe, QueueBench, SOON, eventually};

#[tokio::test]
async fn a_key_is_enqueued_once_by_any_number_of_enqueuers() {
    let bench = QueueBench::new().await;
    let enqueuers: Vec<Enqueuer<Probe>> = (0..8).map(|_| bench.enqueuer()).collect();
    let job = Probe { id: 7, act: Act::Succeed };
    let outcomes = join_all(enqueuers.iter().map(|enqueuer| enqueuer.enqueue(&job))).await;
    let new = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Enqueued::New))).count();
    assert_eq!((new, outcomes.len()), (1, 8));
    let _worker = bench.worker("w");
    bench.wait_until_ended(7).await;
    bench.enqueue(8, Act::Succeed).await;
    bench.wait_until_ended(8).await;
    assert_eq!(bench.log.starts(7), 1);
}

#[tokio::test]
async fn three_workers_run_each_job_exactly_once() {
    let bench = QueueBench::new().await;
    let _workers = ["a", "b", "c"].map(|name| bench.worker(name));
    let enqueuer = bench.enqueuer();
    for id in 0..300 {
        enqueuer.enqueue(&Probe { id, act: Act::Succeed }).await.unwrap();
    }
    for id in 0..300 {
        bench.wait_until_ended(id).await;
    }
    assert!((0..300).all(|id| bench.log.starts(id) == 1), "{:?}", bench.log);
}

#[tokio::test]
async fn a_failed_or_panicked_job_is_dead_and_never_runs_again() {
    let bench = QueueBench::new().await;
    let _worker = bench.worker("w");
    bench.enqueue(1, Act::Fail).await;
    bench.enqueue(2, Act::Panic).await;
    eventually(SOON, "both are dead", || async { bench.finished("dead").await == 2 }).await;
    // The queue library would run a job with an ordinary error again one second later.
    bench.enqueue(3, Act::Sleep(Duration::from_secs(3))).await;
    bench.wait_until_ended(3).await;
    assert_eq!((bench.log.starts(1), bench.log.starts(2)), (1, 1));
    eventually(SOON, "the last job is done", || async { bench.finished("done").await == 1 }).await;
}

#[tokio::test]
async fn a_stopping_worker_finishes_its_job_and_starts_no_new_one() {
    let bench = QueueBench::new().await;
    let worker = bench.worker("w");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(1))).await;
    eventually(SOON, "it runs", || async { bench.log.starts(1) == 1 }).await;
    worker.stop.cancel();
    bench.enqueue(2, Act::Succeed).await;
    worker.running.await.unwrap();
    assert!(bench.log.ended(1) && bench.log.starts(2) == 0, "{:?}", bench.log);
    assert_eq!(bench.finished("done").await, 1);
    let _next = bench.worker("x");
    bench.wait_until_ended(2).await;
    assert_eq!(bench.log.starts(1), 1);
}

#[tokio::test]
async fn a_job_that_outlasts_the_drain_limit_is_run_by_another_worker() {
    let mut bench = QueueBench::new().await;
    bench.config.worker.drain = Duration::from_millis(200);
    let first = bench.worker("first");
    bench.enqueue(1, Act::Sleep(Duration::from_secs(8))).await;
    eventually(SOON, "it runs", || async { bench.log.starts(1) == 1 }).await;
    first.stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), first.running).await.unwrap().unwrap();
    let _second = bench.worker("second");
    eventually(Duration::from_secs(5), "the second worker runs it", || async {
        bench.log.starts(1) == 2
    })
    .await;
}
