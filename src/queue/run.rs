//! Runs one job.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use apalis::prelude::{AbortError, BoxDynError, TaskId};
use apalis_redis::Config;
use redis::{RedisResult, Script};
use tokio::task::JoinError;
use tracing::Instrument as _;

use super::{DiscardReason, Job, JobError, wake::InFlight};
use crate::{
    connection::SharedConnection,
    metrics::{Metric, Metrics},
};

static JOB_STARTED: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("job_started.lua")));
static JOB_ENDED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("job_ended.lua")));

/// The number of times that a job is started before it counts as a poison job.
const MAX_ATTEMPTS: u32 = 5;

/// Why the queue discarded a job.
#[derive(Debug, thiserror::Error)]
enum DiscardError {
    #[error("unreadable payload {0:?}")]
    Unreadable(String),
    #[error("begun {MAX_ATTEMPTS} times and never ended")]
    Poison,
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

/// A job as it was taken from the queue.
pub(super) struct Delivery<J: Job> {
    pub(super) id: TaskId,
    pub(super) worker: String,
    pub(super) payload: Vec<u8>,
    pub(super) context: J::Context,
    pub(super) connection: SharedConnection,
    pub(super) settings: Config,
    pub(super) metrics: Metrics,
    pub(super) in_flight: InFlight,
}

impl<J: Job> Delivery<J> {
    /// Runs the job, and records its start and its end. Every error is returned as an `AbortError`: apalis
    /// would run the job again up to 25 times after any other error.
    ///
    /// Log lines in between have the fields `job` (its id), `queue`, and `slot` if it is for a slot.
    pub(super) async fn run(self) -> Result<(), BoxDynError> {
        let slot = read::<J>(&self.payload).and_then(|job| job.slot());
        // An error span, so that its fields are logged at any `log.level`.
        let span = tracing::error_span!("run", job = self.id.to_string(), queue = J::NAME, slot);
        self.run_job().instrument(span).await
    }

    async fn run_job(self) -> Result<(), BoxDynError> {
        let Self { id, worker, payload, context, mut connection, settings, metrics, in_flight } =
            self;
        let key = format!("{}:{id}", settings.job_meta_hash());
        let mut start = JOB_STARTED.key(&key);
        start.arg(worker).arg(fastrand::u64(..));
        // The job runs even if its start cannot be recorded.
        let (attempt, waited): (u32, i64) =
            start.invoke_async(&mut connection).await.unwrap_or((1, -1));
        let started = Instant::now();
        metrics.count(Metric::JobsStarted, &[J::NAME]);
        if let Ok(waited) = u64::try_from(waited) {
            metrics.measure(Metric::JobWait, &[J::NAME], Duration::from_millis(waited));
        }
        let ended = outcome::<J>(&payload, context, attempt, in_flight).await;
        metrics.measure(Metric::JobDuration, &[J::NAME], started.elapsed());
        let recorded: RedisResult<()> = JOB_ENDED.key(&key).invoke_async(&mut connection).await;
        if let Err(error) = recorded {
            tracing::debug!(%error, "cannot record the end of a job");
        }
        let Err(JobError { reason, error }) = ended else {
            metrics.count(Metric::JobsSucceeded, &[J::NAME]);
            return Ok(());
        };
        metrics.count(Metric::JobsDead, &[J::NAME, reason]);
        tracing::warn!(reason, %error, "job failed");
        Err(Box::new(AbortError::new(error)))
    }
}

/// The result of a job. It runs in its own task, since apalis drops its futures on any Redis error, and a
/// job must not end halfway. A panic ends only that task.
async fn outcome<J: Job>(
    payload: &[u8],
    context: J::Context,
    attempt: u32,
    in_flight: InFlight,
) -> Result<(), JobError> {
    let Some(job) = read::<J>(payload) else {
        let payload = String::from_utf8_lossy(payload).chars().take(200).collect();
        return Err(JobError::new("unreadable", DiscardError::Unreadable(payload)));
    };
    if attempt > MAX_ATTEMPTS {
        job.discarded(context, DiscardReason::Poison).await;
        return Err(JobError::new("poison", DiscardError::Poison));
    }
    let job_context = context.clone();
    let running = async move {
        let _until_done = in_flight;
        job.run(job_context, attempt).await
    };
    let running = tokio::spawn(running.in_current_span());
    match running.await {
        Ok(ended) => ended,
        Err(panic) => {
            if let Some(job) = read::<J>(payload) {
                job.discarded(context, DiscardReason::Panicked).await;
            }
            Err(JobError::new("panicked", DiscardError::from(panic)))
        }
    }
}

/// Reads a payload; `None` if it is not a job of this kind.
pub(super) fn read<J: Job>(payload: &[u8]) -> Option<J> {
    serde_json::from_slice(payload).ok()
}
