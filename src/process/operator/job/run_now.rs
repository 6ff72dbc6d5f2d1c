//! `cotiza job run`.

use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::time::{Instant, sleep};

use super::{no_slots, unknown};
use crate::{
    domain::{Slots, UnixTime},
    jobs::{self, Runner, ScheduledJob},
    metrics::Metrics,
    process::operator::{Operator, output::print},
    queue::{Enqueuer, JobState},
};

/// How long the end of the job is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the state of the job is looked at.
const EVERY: Duration = Duration::from_millis(100);

struct RunNow<'a> {
    operator: &'a Operator<'a>,
    name: &'a str,
    slot: Option<UnixTime>,
    note: Option<String>,
}

pub(super) async fn run(
    operator: &Operator<'_>,
    name: &str,
    slot: Option<UnixTime>,
    note: Option<String>,
) -> anyhow::Result<()> {
    if !jobs::QUEUES.contains(&name) {
        return Err(unknown(name));
    }
    jobs::run_each(&RunNow { operator, name, slot, note }).await
}

impl Runner for RunNow<'_> {
    async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
        if J::NAME != self.name {
            return Ok(());
        }
        let job = self.job::<J>()?;
        let enqueuer = Enqueuer::<J>::new(&self.operator.client, Metrics::default())?;
        let id = enqueuer.enqueue_by_hand(&job).await?;
        self.operator.note(format!("job run {} ({id})", J::NAME), self.note.clone()).await?;
        self.wait_for(&id).await
    }
}

impl RunNow<'_> {
    /// The job of now, or of the slot that was named.
    fn job<J: ScheduledJob>(&self) -> anyhow::Result<J> {
        let clock = self.operator.store.clock();
        let slots = Slots::new(J::every(self.operator.config))?;
        let now = slots.containing(clock.unix_seconds());
        let Some(wanted) = self.slot else { return Ok(J::due(now)) };
        let slot = slots.containing(wanted.second());
        let job = J::due(slot);
        if job.slot().is_none() {
            no_slots(J::NAME)?;
        }
        let start = slot.start();
        if slot.end() <= now.start() {
            let ago = clock.unix_seconds() - slot.end();
            bail!("the slot {start} ended {ago} s ago: a price of now is not one of then");
        }
        ensure!(start <= now.start(), "the slot {start} has not begun yet");
        Ok(job)
    }

    async fn wait_for(&self, id: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = JobState::Waiting;
        while Instant::now() < deadline {
            let Some(job) = self.operator.inspector.job(id).await? else {
                bail!("job {id} was removed before it ended");
            };
            state = job.state;
            match state {
                JobState::Done => return print(&format!("job {id} is done")),
                JobState::Dead => {
                    bail!("job {id} was given up: {}", job.error.unwrap_or_default())
                }
                JobState::Waiting | JobState::Running => sleep(EVERY).await,
            }
        }
        bail!("job {id} is still {} after a minute; is a worker alive?", state.name())
    }
}
