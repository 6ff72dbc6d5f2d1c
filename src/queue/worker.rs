//! Takes jobs from a queue and runs them, through all failures of Redis.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use apalis::prelude::{
    BackendExt, BoxDynError, TaskId, WorkerBuilder, WorkerBuilderExt, WorkerError,
};
use apalis_redis::{Config, RedisStorage};
use backon::BackoffBuilder as _;
use futures_util::future::BoxFuture;
use redis::{RedisError, RedisResult};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    DiscardReason, Job, Liveness, backlog, heartbeat,
    payload::RawBytes,
    run::{self, Delivery},
    settings,
    wake::{self, PollOnSignal, Signal},
};
use crate::{
    backoff,
    config::{self, Config as AppConfig},
    connection::{self, Server, SharedConnection},
    metrics::{Metric, Metrics},
};

/// After a worker has run for this long, its successor starts without a longer delay.
const HEALTHY: Duration = Duration::from_secs(10);

/// The delays before a new worker is built. A Redis that is available again is used within a second.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// How often a worker looks for waiting jobs that would end or block it.
const CLEAN_EVERY: Duration = Duration::from_secs(30);

/// What all generations of a worker have in common.
struct WorkerSetup<J: Job> {
    connection: SharedConnection,
    context: J::Context,
    liveness: Liveness,
    metrics: Metrics,
    queue: config::Queue,
    concurrency: usize,
    drain: Duration,
}

/// A running job.
type JobFuture = BoxFuture<'static, Result<(), BoxDynError>>;

/// Why a generation of a worker ended.
#[derive(Debug, thiserror::Error)]
enum WorkerFailure {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("the running jobs took longer than worker.drain")]
    DrainTimeout,
    #[error("its connection to Redis is unfit")]
    ConnectionUnfit,
}

impl WorkerFailure {
    /// Whether Redis is unavailable, which is logged elsewhere.
    fn is_outage(&self) -> bool {
        match self {
            Self::Redis(error) => connection::is_outage(error),
            Self::Worker(error) => settings::ended_by_outage(error),
            Self::DrainTimeout => false,
            Self::ConnectionUnfit => true,
        }
    }
}

/// Runs the jobs of the queue of `J` until `shutdown`, then waits for running jobs, at most for
/// `worker.drain`. `name` is the name of this process; `liveness` and `metrics` are updated.
///
/// Any error of Redis ends an apalis worker. Then a new generation is built: with a new connection, a new
/// storage, and a new name, since the old one stays registered for a while.
pub async fn work<J: Job>(
    server: &Server,
    config: &AppConfig,
    context: J::Context,
    name: &str,
    liveness: Liveness,
    metrics: Metrics,
    shutdown: &CancellationToken,
) {
    let setup = WorkerSetup::<J> {
        connection: server.shared(),
        context,
        liveness,
        metrics,
        queue: config.queue.clone(),
        concurrency: config.worker.concurrency,
        drain: config.worker.drain,
    };
    let new_delays = || backoff::exponential(FIRST_DELAY, LONGEST_DELAY).build();
    let mut delays = new_delays();
    for generation in 1.. {
        let started = Instant::now();
        match setup.run_generation(&format!("{name}-{generation}"), shutdown).await {
            Ok(()) if shutdown.is_cancelled() => break,
            Err(error) if shutdown.is_cancelled() => {
                tracing::warn!(queue = J::NAME, %error, "stopped before all jobs were returned");
                break;
            }
            Ok(()) => tracing::warn!(queue = J::NAME, "worker ended; starting a new one"),
            Err(error) if error.is_outage() => {
                tracing::debug!(queue = J::NAME, %error, "worker failed; starting a new one");
            }
            Err(error) => {
                tracing::warn!(queue = J::NAME, %error, "worker failed; starting a new one");
            }
        }
        if started.elapsed() > HEALTHY {
            delays = new_delays();
        }
        tokio::select! {
            () = sleep(delays.next().unwrap_or_default()) => {}
            () = shutdown.cancelled() => break,
        }
    }
}

impl<J: Job> WorkerSetup<J> {
    /// Runs one apalis worker, from its connection to its end.
    async fn run_generation(
        &self,
        name: &str,
        shutdown: &CancellationToken,
    ) -> Result<(), WorkerFailure> {
        let connection = tokio::select! {
            connected = self.connection.server().connect() => connected?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let settings = settings::settings(J::NAME, connection.is_cluster(), self.concurrency);
        let (unfit, is_cluster) = (connection.clone(), connection.is_cluster());
        let signal = Arc::new(Signal::default());
        let backend = RedisStorage::<Vec<u8>, _>::new(connection)
            .with_config(settings.clone())
            .with_codec(RawBytes)
            .poll_with_strategy(PollOnSignal::new(Arc::clone(&signal), self.liveness.clone()));
        self.clean_backlog(&settings).await?;
        let worker = WorkerBuilder::new(name)
            .backend(backend)
            .concurrency(self.concurrency)
            .build(self.handler(name, &settings));
        let stop = shutdown.clone().cancelled_owned();
        let running = worker.run_until(async move {
            stop.await;
            io::Result::Ok(())
        });
        let drained = async {
            shutdown.cancelled().await;
            sleep(self.drain).await;
        };
        let background_tasks = self.spawn_background_tasks(name, &settings, is_cluster, signal);
        let outcome = tokio::select! {
            ended = running => ended.map_err(WorkerFailure::from),
            () = drained => Err(WorkerFailure::DrainTimeout),
            error = self.clean_backlog_periodically(&settings) => Err(error.into()),
            () = unfit.unfit() => Err(WorkerFailure::ConnectionUnfit),
        };
        // Ended first: a heartbeat would register the worker again.
        drop(background_tasks);
        let deregistered = heartbeat::deregister(self.connection.clone(), &settings, name);
        let _timed_out = timeout(Duration::from_millis(500), deregistered).await;
        outcome
    }

    /// Returns the function that apalis calls for each job.
    fn handler(
        &self,
        worker: &str,
        settings: &Config,
    ) -> impl Fn(Vec<u8>, TaskId) -> JobFuture + Clone + use<J> {
        let (context, liveness) = (self.context.clone(), self.liveness.clone());
        let (worker, metrics) = (worker.to_owned(), self.metrics.clone());
        let (connection, settings) = (self.connection.clone(), settings.clone());
        move |payload, id| {
            let delivery = Delivery::<J> {
                id,
                worker: worker.clone(),
                payload,
                context: context.clone(),
                connection: connection.clone(),
                settings: settings.clone(),
                metrics: metrics.clone(),
                in_flight: liveness.begin(),
            };
            Box::pin(delivery.run())
        }
    }

    /// Starts what runs beside a worker and ends with it. Each has its own task: whatever wakes the task
    /// of the worker makes it poll the queue.
    fn spawn_background_tasks(
        &self,
        name: &str,
        settings: &Config,
        is_cluster: bool,
        signal: Arc<Signal>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let shared = || (self.connection.clone(), settings.clone(), name.to_owned());
        let (connection, of_queue, worker) = shared();
        let queue = self.queue.clone();
        tasks.spawn(heartbeat::send_heartbeats(connection, of_queue, worker, queue));
        if is_cluster {
            let (connection, of_queue, worker) = shared();
            tasks.spawn(heartbeat::requeue_unstarted(connection, of_queue, worker));
        }
        let server = self.connection.server().clone();
        tasks.spawn(wake::listen(server, settings::jobs_channel(settings), signal));
        tasks
    }

    /// Cleans the backlog periodically; returns the first error.
    async fn clean_backlog_periodically(&self, settings: &Config) -> RedisError {
        loop {
            sleep(CLEAN_EVERY).await;
            if let Err(error) = self.clean_backlog(settings).await {
                return error;
            }
        }
    }

    /// Removes the waiting jobs that would end or block every worker.
    async fn clean_backlog(&self, settings: &Config) -> RedisResult<()> {
        loop {
            let cleaned = backlog::drop_unreadable(self.connection.clone(), settings).await?;
            if cleaned.unreadable > 0 {
                let count = cleaned.unreadable;
                tracing::warn!(queue = J::NAME, count, "removed jobs without data from the queue");
            }
            if cleaned.excess.is_empty() {
                return Ok(());
            }
            self.drop_excess(settings, cleaned.excess).await?;
        }
    }

    /// Discards the oldest jobs of a backlog. They are removed last, so that an error in between loses
    /// nothing.
    async fn drop_excess(
        &self,
        settings: &Config,
        excess: Vec<(String, Vec<u8>)>,
    ) -> RedisResult<()> {
        for job in excess.iter().filter_map(|(_, payload)| run::read::<J>(payload)) {
            job.discarded(self.context.clone(), DiscardReason::Backlog).await;
        }
        let ids: Vec<&str> = excess.iter().map(|(id, _)| id.as_str()).collect();
        let count = backlog::remove_waiting(self.connection.clone(), settings, &ids).await?;
        tracing::warn!(queue = J::NAME, count, "dropped the oldest jobs of a backlog");
        for _ in 0..count {
            self.metrics.count(Metric::JobsDead, &[J::NAME, "backlog"]);
        }
        Ok(())
    }
}
