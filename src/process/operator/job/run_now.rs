//! `cotiza job run`: runs a job now. Depends on `domain`, `jobs`, `metrics` and `queue`.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    domain::{Slots, UnixTime},
    jobs::{ForEachJob, ScheduledJob},
    metrics::Metrics,
    process::operator::{Operator, output::print_done},
    queue::{Enqueuer, JobState},
};

/// How long the command waits for the end of the job.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The interval at which the state of the job is checked.
const EVERY: Duration = Duration::from_millis(100);

/// Runs the job with a given name once and waits for its end.
pub(super) struct RunNow<'a> {
    pub(super) operator: &'a Operator<'a>,
    pub(super) name: &'a str,
    pub(super) slot: Option<UnixTime>,
    pub(super) note: Option<String>,
    pub(super) json: bool,
}

impl ForEachJob for RunNow<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        if J::NAME != self.name {
            return Ok(());
        }
        let job = self.job::<J>()?;
        let enqueuer = Enqueuer::<J>::new(&self.operator.server, Metrics::default());
        let id = enqueuer.enqueue_manually(&job).await?;
        self.operator.note(format!("job run {} ({id})", J::NAME), self.note.clone()).await?;
        self.wait_for(&id).await
    }
}

impl RunNow<'_> {
    /// Returns the job for the current slot or for the given slot.
    fn job<J: ScheduledJob>(&self) -> anyhow::Result<J> {
        let clock = self.operator.store.clock();
        let slots = Slots::new(J::every(self.operator.config))?;
        let now = slots.containing(clock.unix_seconds());
        let Some(wanted) = self.slot else { return Ok(J::due(now)) };
        let slot = slots.containing(wanted.second());
        let job = J::due(slot);
        ensure!(
            job.slot().is_some(),
            "--slot cannot be used with {}, which does not belong to a slot",
            J::NAME
        );
        let start = slot.start();
        if slot.end() <= now.start() {
            let ago = clock.unix_seconds() - slot.end();
            bail!(
                "the slot {start} ended {ago} s ago: give the current slot, because past prices cannot be \
                 recorded"
            );
        }
        ensure!(
            start <= now.start(),
            "the slot {start} has not started yet: give the current slot"
        );
        Ok(job)
    }

    async fn wait_for(&self, id: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = JobState::Waiting;
        while Instant::now() < deadline {
            let Some(job) = self.operator.inspector.job(id).await? else {
                bail!("job {id} was removed before it ended");
            };
            state = job.state;
            match state {
                JobState::Done => {
                    let done = json!({ "id": id, "state": "done" });
                    return print_done(self.json, &format!("job {id} is done"), &done);
                }
                JobState::Dead => {
                    bail!("job {id} was given up: {}", job.error.unwrap_or_default())
                }
                JobState::Waiting | JobState::Running => sleep(EVERY).await,
            }
        }
        bail!(
            "job {id} is still {} after one minute; check with `cotiza process ls` that a worker is alive",
            state.name()
        )
    }
}
