//! Runs one job, whatever it does.

use std::sync::LazyLock;

use apalis::prelude::{AbortError, BoxDynError, TaskId};
use apalis_redis::Config;
use redis::{RedisResult, Script};

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
    pub(super) async fn run(self) -> Result<(), BoxDynError> {
        let Some(job) = read::<J>(&self.payload) else {
            let payload = String::from_utf8_lossy(&self.payload);
            let seen: String = payload.chars().take(200).collect();
            return Err(abort::<J>(&format!("unreadable payload {seen:?}")));
        };
        let shown = format!("{job:?}");
        let tries = self.begin().await;
        let context = self.context.clone();
        if tries > TRIES {
            job.given_up(context, GivenUp::Deadly).await;
            return Err(abort::<J>(&format!("{shown}: begun {TRIES} times and never ended")));
        }
        let in_flight = self.in_flight;
        let running = tokio::spawn(async move {
            let _until_done = in_flight;
            job.run(context, tries).await
        });
        match running.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(abort::<J>(&format!("{shown}: {reason}"))),
            Err(panic) => {
                if let Some(job) = read::<J>(&self.payload) {
                    job.given_up(self.context, GivenUp::Panicked).await;
                }
                Err(abort::<J>(&format!("{shown}: {panic}")))
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

fn abort<J: Job>(reason: &str) -> BoxDynError {
    tracing::warn!(queue = J::NAME, reason, "gave up a job");
    Box::new(AbortError::new(reason.to_owned()))
}
