//! Runs one job, whatever it does.

use std::sync::LazyLock;

use apalis::prelude::{AbortError, BoxDynError, TaskId};
use apalis_redis::Config;
use redis::{RedisResult, Script};
use tracing::Instrument as _;

use super::{GivenUp, Job, wake::InFlight};
use crate::connection::SharedConnection;

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("begin.lua")));

/// How many times a job is begun before it is taken for one that kills its workers.
const TRIES: u32 = 5;

/// A job as it came out of the queue.
pub(super) struct Delivery<J: Job> {
    pub(super) id: TaskId,
    pub(super) payload: Vec<u8>,
    pub(super) context: J::Context,
    pub(super) connection: SharedConnection,
    pub(super) settings: Config,
    pub(super) in_flight: InFlight,
}

impl<J: Job> Delivery<J> {
    /// Runs the job in a task of its own: apalis drops its futures on any Redis error, and a job
    /// must not end halfway; a panic stays in the task. Whatever fails is given up for good,
    /// which to apalis is an `AbortError`: any other error it would run again, up to 25 times.
    ///
    /// Log lines in between have the fields `job` (its id in the queue), `queue` and, if it is for one,
    /// `slot`.
    pub(super) async fn run(self) -> Result<(), BoxDynError> {
        let job = read::<J>(&self.payload);
        let slot = job.as_ref().and_then(Job::slot);
        // Of the level of errors, so that the fields are there at any `log.level`.
        let span = tracing::error_span!("run", job = %self.id, queue = J::NAME, slot);
        self.run_job(job).instrument(span).await
    }

    async fn run_job(self, job: Option<J>) -> Result<(), BoxDynError> {
        let Some(job) = job else {
            let payload = String::from_utf8_lossy(&self.payload);
            let seen: String = payload.chars().take(200).collect();
            return Err(abort(&format!("unreadable payload {seen:?}")));
        };
        let shown = format!("{job:?}");
        let tries = self.begin().await;
        let context = self.context.clone();
        if tries > TRIES {
            job.given_up(context, GivenUp::Deadly).await;
            return Err(abort(&format!("{shown}: begun {TRIES} times and never ended")));
        }
        let in_flight = self.in_flight;
        let running = async move {
            let _until_done = in_flight;
            job.run(context, tries).await
        };
        let running = tokio::spawn(running.in_current_span());
        match running.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(abort(&format!("{shown}: {reason}"))),
            Err(panic) => {
                if let Some(job) = read::<J>(&self.payload) {
                    job.given_up(self.context, GivenUp::Panicked).await;
                }
                Err(abort(&format!("{shown}: {panic}")))
            }
        }
    }

    /// Counts that the job is begun, since apalis counts only what ends. A Redis that cannot
    /// count does not keep a job from being run.
    async fn begin(&self) -> u32 {
        let key = format!("{}:{}", self.settings.job_meta_hash(), self.id);
        let tries: RedisResult<u32> =
            BEGIN.key(key).invoke_async(&mut self.connection.clone()).await;
        tries.unwrap_or(1)
    }
}

/// Reads a payload; what cannot be read is none of ours.
pub(super) fn read<J: Job>(payload: &[u8]) -> Option<J> {
    serde_json::from_slice(payload).ok()
}

fn abort(reason: &str) -> BoxDynError {
    tracing::warn!(reason, "gave up a job");
    Box::new(AbortError::new(reason.to_owned()))
}
