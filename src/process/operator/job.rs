//! `cotiza job`: look at jobs, run one now, remove some.

pub(super) mod list;
mod run_now;

use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, builder::PossibleValuesParser};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Operator,
    output::{moment_of, nothing, print, print_done, print_json, table},
};
use crate::{
    api::JobResponse,
    config::Config,
    domain::{PageNumber, PageSize, Reason, UnixTime},
    jobs::{self, QUEUES, Runner, ScheduledJob},
    queue::{JobReport, JobState},
};

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs, newest first
    #[command(
        after_help = "Examples:\n  cotiza job ls\n  cotiza job ls --state dead --queue fetch_btc_ars\n  \
                      cotiza job ls --json --page-size 100"
    )]
    Ls {
        /// Those in this state
        #[arg(long, value_enum)]
        state: Option<JobState>,
        /// Those of this queue
        #[arg(long, value_parser = PossibleValuesParser::new(QUEUES))]
        queue: Option<String>,
        /// Which page: a number from 1, or `last`
        #[arg(long, default_value = "1")]
        page: PageNumber,
        /// Jobs a page, up to 1000
        #[arg(long, default_value = "20")]
        page_size: PageSize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a job
    #[command(after_help = "Examples:\n  cotiza job show 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Show {
        /// The id of the job
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a job once, now, and wait for its end; exit with 1 if it is given up
    #[command(
        after_help = "Examples:\n  cotiza job run housekeeping\n  cotiza job run fetch_btc_ars   (of the \
                      current slot)"
    )]
    Run {
        /// The name of the job
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        job: String,
        /// The slot of `fetch_btc_ars`, by a second in it; the current one without it. A price of now is not
        /// one of then: past slots are refused
        #[arg(long, value_name = "TIME")]
        slot: Option<UnixTime>,
        /// For the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a job that waits for a worker
    #[command(after_help = "Examples:\n  cotiza job cancel 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Cancel {
        /// The id of the job
        id: String,
        /// For the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a job that has ended
    #[command(after_help = "Examples:\n  cotiza job delete 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Delete {
        /// The id of the job
        id: String,
        /// For the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command; `shutdown` ends the wait for a job.
///
/// # Errors
/// If the job does not exist, if its state does not allow the action, or if Redis fails.
pub async fn run(
    config: &Config,
    command: Command,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let operator = &Operator::at_work(config).await?;
    match command {
        Command::Ls { state, queue, page, page_size, json } => {
            let states = state.map_or_else(|| JobState::ALL.to_vec(), |state| vec![state]);
            list::run(operator, &states, queue.as_deref(), page, page_size, json).await
        }
        Command::Show { id, json } => show(operator, &id, json).await,
        Command::Run { job, slot, note, json } => {
            let run = run_now::RunNow { operator, name: &job, slot, note, json };
            tokio::select! {
                ended = jobs::run_each(&run) => ended,
                () = shutdown.cancelled() => bail!("not waited for; the job may still run"),
            }
        }
        Command::Cancel { id, note, json } => remove(operator, &CANCEL, &id, note, json).await,
        Command::Delete { id, note, json } => remove(operator, &DELETE, &id, note, json).await,
    }
}

async fn found(operator: &Operator<'_>, id: &str) -> anyhow::Result<JobReport> {
    let found = operator.inspector.job(id).await?;
    found.with_context(|| format!("there is no job {id:?}; `cotiza job ls` lists all"))
}

async fn show(operator: &Operator<'_>, id: &str, json: bool) -> anyhow::Result<()> {
    let job = JobResponse::from(found(operator, id).await?);
    if json {
        return print_json(&job);
    }
    let rows = [
        ("id", job.id),
        ("queue", job.queue),
        ("job", job.job.to_string()),
        ("state", job.state.name().to_owned()),
        ("enqueued", moment_of(job.enqueued_at)),
        ("started", moment_of(job.started_at)),
        ("ended", moment_of(job.ended_at)),
        ("duration", job.duration.map_or_else(nothing, |took| format!("{took:.3} s"))),
        ("tries", job.tries.to_string()),
        ("worker", job.worker.unwrap_or_else(nothing)),
        ("error", job.error.unwrap_or_else(nothing)),
    ];
    print(&table(&[], rows.map(|(name, value)| vec![name.to_owned(), value])))
}

/// A way to remove a job.
struct Removal {
    action: &'static str,
    done: &'static str,
    /// The states in which it is allowed, and what is said of others.
    states: &'static [JobState],
    rule: &'static str,
    /// What is said of a job that has left such a state meanwhile.
    too_late: &'static str,
}

const CANCEL: Removal = Removal {
    action: "cancel",
    done: "cancelled",
    states: &[JobState::Waiting],
    rule: "only a waiting one is cancelled",
    too_late: "does not wait any more",
};
const DELETE: Removal = Removal {
    action: "delete",
    done: "deleted",
    states: &[JobState::Done, JobState::Dead],
    rule: "only one that has ended is deleted",
    too_late: "is not there any more",
};

async fn remove(
    operator: &Operator<'_>,
    removal: &Removal,
    id: &str,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let JobReport { queue, job, state, .. } = found(operator, id).await?;
    ensure!(removal.states.contains(&state), "job {id} is {}; {}", state.name(), removal.rule);
    let removed = operator.inspector.remove(queue, state, &[id.to_owned()]).await?;
    ensure!(!removed.is_empty(), "job {id} {}", removal.too_late);
    let text = format!("{} {id}", removal.done);
    // What was removed is noted, whatever else fails.
    let noted = operator.note(format!("job {} {id} ({queue} {job})", removal.action), note).await;
    let told = match state {
        JobState::Waiting => note_held_back(operator, queue, &removed).await,
        _ => Ok(()),
    };
    noted.and(told).with_context(|| text.clone())?;
    print_done(json, &text, &json!({ "id": id, "removed": true }))
}

/// Notes that jobs are not run since an operator has removed them or paused their queue.
pub(super) async fn note_held_back(
    operator: &Operator<'_>,
    queue: &'static str,
    payloads: &[Vec<u8>],
) -> anyhow::Result<()> {
    struct HeldBack<'a> {
        operator: &'a Operator<'a>,
        queue: &'static str,
        payloads: &'a [Vec<u8>],
    }

    impl Runner for HeldBack<'_> {
        async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
            if J::NAME != self.queue {
                return Ok(());
            }
            let read = |payload: &Vec<u8>| serde_json::from_slice::<J>(payload).ok();
            let jobs: Vec<J> = self.payloads.iter().filter_map(read).collect();
            if jobs.is_empty() {
                return Ok(());
            }
            Ok(J::not_begun(&jobs, &self.operator.store, Reason::Paused).await?)
        }
    }

    if payloads.is_empty() {
        return Ok(());
    }
    jobs::run_each(&HeldBack { operator, queue, payloads }).await
}
