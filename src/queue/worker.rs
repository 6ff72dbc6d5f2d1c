//! Takes jobs from a queue and runs them, whatever becomes of Redis meanwhile.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use apalis::prelude::{BackendExt, TaskId, WorkerBuilder, WorkerBuilderExt, WorkerError};
use apalis_redis::{Config, RedisStorage};
use backon::{BackoffBuilder, ExponentialBuilder};
use redis::{RedisError, RedisResult};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    GivenUp, Job, Pulse, heartbeat,
    payload::Unread,
    run::{self, Delivery},
    settings, tidy,
    wake::{self, LookWhenTold, Signal},
};
use crate::{
    config::{self, Config as AppConfig},
    connection::{self, Server, SharedConnection},
    metrics::{Metric, Metrics},
};

/// A worker that ran this long before it failed was healthy: its successor starts at once.
const HEALTHY: Duration = Duration::from_secs(10);

/// How often a worker looks for what would stop it.
const MEND_EVERY: Duration = Duration::from_secs(30);

/// What stays the same from one generation of a worker to the next.
struct Workplace<J: Job> {
    connection: SharedConnection,
    context: J::Context,
    pulse: Pulse,
    metrics: Metrics,
    queue: config::Queue,
    concurrency: usize,
    drain: Duration,
}

/// Why a generation of a worker failed.
struct Failed {
    reason: String,
    /// Whether Redis is away, which is logged elsewhere.
    is_away: bool,
}

impl From<RedisError> for Failed {
    fn from(error: RedisError) -> Self {
        Self { is_away: connection::is_away(&error), reason: error.to_string() }
    }
}

impl From<WorkerError> for Failed {
    fn from(error: WorkerError) -> Self {
        Self { is_away: settings::ended_by_absence(&error), reason: error.to_string() }
    }
}

/// Works on the queue of `J` until `shutdown`, then waits for the jobs in flight, at most
/// `worker.drain`. `name` is this process's; `pulse` and `metrics` are kept up to date.
///
/// Any error of Redis ends an apalis worker, so a new one, a new generation, is built whenever
/// one ends: new connection, new storage, new name (the old one stays taken for a while).
pub async fn work<J: Job>(
    server: &Server,
    config: &AppConfig,
    context: J::Context,
    name: &str,
    pulse: Pulse,
    metrics: Metrics,
    shutdown: &CancellationToken,
) {
    let concurrency = config.worker.concurrency;
    let workplace = Workplace::<J> {
        connection: server.shared(),
        context,
        pulse,
        metrics,
        queue: config.queue.clone(),
        concurrency,
        drain: config.worker.drain,
    };
    let mut delays = backoff();
    for generation in 1.. {
        let started = Instant::now();
        let outcome = workplace.generation(&format!("{name}-{generation}"), shutdown).await;
        match outcome {
            Ok(()) if shutdown.is_cancelled() => break,
            Err(Failed { reason: error, .. }) if shutdown.is_cancelled() => {
                tracing::warn!(queue = J::NAME, error, "stopped without handing everything back");
                break;
            }
            Ok(()) => tracing::warn!(queue = J::NAME, "the worker ended; starting it again"),
            Err(Failed { reason: error, is_away: true }) => {
                tracing::debug!(queue = J::NAME, error, "the worker failed; starting it again");
            }
            Err(Failed { reason: error, .. }) => {
                tracing::warn!(queue = J::NAME, error, "the worker failed; starting it again");
            }
        }
        if started.elapsed() > HEALTHY {
            delays = backoff();
        }
        tokio::select! {
            () = sleep(delays.next().unwrap_or_default()) => {}
            () = shutdown.cancelled() => break,
        }
    }
}

/// 100 ms at first, half a second later on, with jitter, without end: a Redis that is back is
/// used again within a second.
fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(500))
        .with_jitter()
        .without_max_times()
        .build()
}

impl<J: Job> Workplace<J> {
    /// One apalis worker, from its connection to its end.
    async fn generation(&self, name: &str, shutdown: &CancellationToken) -> Result<(), Failed> {
        let connection = tokio::select! {
            connected = self.connection.server().connect() => connected?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let settings = settings::settings(J::NAME, connection.is_cluster(), self.concurrency);
        let (unfit, is_cluster) = (connection.clone(), connection.is_cluster());
        let signal = Arc::new(Signal::default());
        let backend = RedisStorage::<Vec<u8>, _>::new(connection)
            .with_config(settings.clone())
            .with_codec(Unread)
            .poll_with_strategy(LookWhenTold::new(Arc::clone(&signal), self.pulse.clone()));
        self.mend(&settings).await?;
        let (context, pulse) = (self.context.clone(), self.pulse.clone());
        let (worker, metrics) = (name.to_owned(), self.metrics.clone());
        let (shared, of_job) = (self.connection.clone(), settings.clone());
        let deliver = move |payload: Vec<u8>, id: TaskId| {
            let delivery = Delivery::<J> {
                id,
                worker: worker.clone(),
                payload,
                context: context.clone(),
                connection: shared.clone(),
                settings: of_job.clone(),
                metrics: metrics.clone(),
                in_flight: pulse.begin(),
            };
            delivery.run()
        };
        let worker =
            WorkerBuilder::new(name).backend(backend).concurrency(self.concurrency).build(deliver);

        let told = shutdown.clone().cancelled_owned();
        let ran = worker.run_until(async move {
            told.await;
            io::Result::Ok(())
        });
        let drained = async {
            shutdown.cancelled().await;
            sleep(self.drain).await;
        };
        let aides = self.aides(name, &settings, is_cluster, signal);
        let outcome = tokio::select! {
            ended = ran => ended.map_err(Failed::from),
            () = drained => {
                let reason = "jobs in flight outlasted worker.drain".to_owned();
                Err(Failed { reason, is_away: false })
            }
            error = self.mend_now_and_then(&settings) => Err(error.into()),
            () = unfit.unfit() => {
                Err(Failed { reason: "its connection to Redis is unfit".to_owned(), is_away: true })
            }
        };
        // A heartbeat would undo the leaving.
        drop(aides);
        let left = heartbeat::leave(self.connection.clone(), &settings, name);
        let _late = timeout(Duration::from_millis(500), left).await;
        outcome
    }

    /// What runs beside a worker and ends with it, in tasks of its own: whatever wakes the
    /// worker's task makes it look into the queue.
    fn aides(
        &self,
        name: &str,
        settings: &Config,
        is_cluster: bool,
        signal: Arc<Signal>,
    ) -> JoinSet<()> {
        let mut aides = JoinSet::new();
        let (connection, of_worker) = (self.connection.clone(), settings.clone());
        aides.spawn(heartbeat::beat(connection, of_worker, name.to_owned(), self.queue.clone()));
        if is_cluster {
            let (connection, of_worker) = (self.connection.clone(), settings.clone());
            aides.spawn(heartbeat::reclaim(connection, of_worker, name.to_owned()));
        }
        let server = self.connection.server().clone();
        aides.spawn(wake::listen(server, settings::channel(settings), signal));
        aides
    }

    /// Takes out of the queue what would end every worker that meets it; ends with the first
    /// error.
    async fn mend_now_and_then(&self, settings: &Config) -> RedisError {
        loop {
            sleep(MEND_EVERY).await;
            if let Err(error) = self.mend(settings).await {
                return error;
            }
        }
    }

    async fn mend(&self, settings: &Config) -> RedisResult<()> {
        loop {
            let mended = tidy::mend(self.connection.clone(), settings).await?;
            if mended.unreadable > 0 {
                let count = mended.unreadable;
                tracing::warn!(
                    queue = J::NAME,
                    count,
                    "took jobs out of the queue that have no data"
                );
            }
            if mended.excess.is_empty() {
                return Ok(());
            }
            self.drop_excess(settings, mended.excess).await?;
        }
    }

    /// Gives up the oldest jobs of a backlog. What became of them is noted before they are removed: an error
    /// in between loses nothing.
    async fn drop_excess(
        &self,
        settings: &Config,
        excess: Vec<(String, Vec<u8>)>,
    ) -> RedisResult<()> {
        for job in excess.iter().filter_map(|(_, payload)| run::read::<J>(payload)) {
            job.given_up(self.context.clone(), GivenUp::Backlog).await;
        }
        let ids: Vec<&str> = excess.iter().map(|(id, _)| id.as_str()).collect();
        let count = tidy::drop_jobs(self.connection.clone(), settings, &ids).await?;
        tracing::warn!(queue = J::NAME, count, "dropped the oldest jobs of a backlog");
        for _ in 0..count {
            self.metrics.count(Metric::JobsDead, &[J::NAME, "backlog"]);
        }
        Ok(())
    }
}
