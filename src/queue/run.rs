//! Runs one job, whatever it does.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use apalis::prelude::{AbortError, BoxDynError, TaskId};
use apalis_redis::Config;
use redis::{RedisResult, Script};
use tracing::Instrument as _;

use super::{GiveUp, GivenUp, Job, wake::InFlight};
use crate::{
    connection::SharedConnection,
    metrics::{Metric, Metrics},
};

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("begin.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua")));

/// How many times a job is begun before it is taken for one that kills its workers.
const TRIES: u32 = 5;

/// A job as it came out of the queue.
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
    /// Runs the job and notes its begin and its end. Whatever fails is given up for good, which to apalis
    /// is an `AbortError`: any other error it would run again, up to 25 times.
    ///
    /// Log lines in between have the fields `job` (its id in the queue), `queue` and, if it is for one,
    /// `slot`.
    pub(super) async fn run(self) -> Result<(), BoxDynError> {
        let slot = read::<J>(&self.payload).and_then(|job| job.slot());
        // Of the level of errors, so that the fields are there at any `log.level`.
        let span = tracing::error_span!("run", job = self.id.to_string(), queue = J::NAME, slot);
        self.run_job().instrument(span).await
    }

    async fn run_job(self) -> Result<(), BoxDynError> {
        let Self { id, worker, payload, context, mut connection, settings, metrics, in_flight } =
            self;
        let key = format!("{}:{id}", settings.job_meta_hash());
        let begun =
            BEGIN.key(&key).arg(worker).arg(fastrand::u64(..)).invoke_async(&mut connection).await;
        // A Redis that cannot count does not keep a job from being run.
        let (tries, waited): (u32, i64) = begun.unwrap_or((1, -1));
        let started = Instant::now();
        metrics.count(Metric::JobsStarted, &[J::NAME]);
        if let Ok(waited) = u64::try_from(waited) {
            metrics.measure(Metric::JobWait, &[J::NAME], Duration::from_millis(waited));
        }
        let ended = outcome::<J>(&payload, context, tries, in_flight).await;
        metrics.measure(Metric::JobDuration, &[J::NAME], started.elapsed());
        let noted: RedisResult<()> = END.key(&key).invoke_async(&mut connection).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the end of a job is not noted");
        }
        let Err(GiveUp { reason, error }) = ended else {
            metrics.count(Metric::JobsSucceeded, &[J::NAME]);
            return Ok(());
        };
        metrics.count(Metric::JobsDead, &[J::NAME, reason]);
        tracing::warn!(reason, %error, "gave up a job");
        Err(Box::new(AbortError::new(error)))
    }
}

/// What comes of a job. It runs in a task of its own: apalis drops its futures on any Redis error, and a
/// job must not end halfway; a panic stays in the task.
async fn outcome<J: Job>(
    payload: &[u8],
    context: J::Context,
    tries: u32,
    in_flight: InFlight,
) -> Result<(), GiveUp> {
    let Some(job) = read::<J>(payload) else {
        let payload = String::from_utf8_lossy(payload);
        let seen: String = payload.chars().take(200).collect();
        return Err(GiveUp::because("unreadable", format!("unreadable payload {seen:?}")));
    };
    if tries > TRIES {
        job.given_up(context, GivenUp::Deadly).await;
        return Err(GiveUp::because("poison", format!("begun {TRIES} times and never ended")));
    }
    let job_context = context.clone();
    let running = async move {
        let _until_done = in_flight;
        job.run(job_context, tries).await
    };
    let running = tokio::spawn(running.in_current_span());
    match running.await {
        Ok(ended) => ended,
        Err(panic) => {
            if let Some(job) = read::<J>(payload) {
                job.given_up(context, GivenUp::Panicked).await;
            }
            Err(GiveUp::because("panicked", panic))
        }
    }
}

/// Reads a payload; what cannot be read is none of ours.
pub(super) fn read<J: Job>(payload: &[u8]) -> Option<J> {
    serde_json::from_slice(payload).ok()
}
