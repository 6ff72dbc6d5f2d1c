//! `cotiza job`: lists, shows, runs and removes jobs. Depends on `api`, `config`, `domain`, `jobs` and
//! `queue`.

pub(super) mod list;
mod run_now;

use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, builder::PossibleValuesParser};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Operator,
    output::{empty_cell, optional_moment, print, print_done, print_json, table},
};
use crate::{
    api::JobResponse,
    config::Config,
    domain::{MissedReason, PageNumber, PageSize, UnixTime},
    jobs::{self, ForEachJob, QUEUES, ScheduledJob},
    queue::{JobReport, JobState},
};

/// The commands for jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs, newest first
    #[command(
        after_help = "Examples:\n  cotiza job ls\n  cotiza job ls --state dead --queue fetch_btc_ars\n  \
                      cotiza job ls --json --page-size 100"
    )]
    Ls {
        /// List only jobs in this state
        #[arg(long, value_enum)]
        state: Option<JobState>,
        /// List only jobs of this queue
        #[arg(long, value_parser = PossibleValuesParser::new(QUEUES))]
        queue: Option<String>,
        /// Number of the page, from 1, or `last`
        #[arg(long, default_value = "1")]
        page: PageNumber,
        /// Jobs per page, up to 1000
        #[arg(long, default_value = "20")]
        page_size: PageSize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a job
    #[command(after_help = "Examples:\n  cotiza job show 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Show {
        /// Id of the job
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a job once now and wait for its end; exit with 1 if it is given up
    #[command(
        after_help = "Examples:\n  cotiza job run housekeeping\n  cotiza job run fetch_btc_ars   (for the \
                      current slot)"
    )]
    Run {
        /// Name of the job
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        job: String,
        /// Slot of `fetch_btc_ars`, given as any time in it [default: the current slot]. Past slots are
        /// rejected, because the current price is not the price of a past slot
        #[arg(long, value_name = "TIME")]
        slot: Option<UnixTime>,
        /// Comment for the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a waiting job
    #[command(after_help = "Examples:\n  cotiza job cancel 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Cancel {
        /// Id of the job
        id: String,
        /// Comment for the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a job that has ended
    #[command(after_help = "Examples:\n  cotiza job delete 01JDK3W8Z6Q4T1N7R5V2M9X0BC")]
    Delete {
        /// Id of the job
        id: String,
        /// Comment for the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command. `shutdown` ends the wait for the end of a job.
///
/// # Errors
/// Returns an error if the job does not exist, its state does not allow the action, or Redis fails.
pub async fn run(
    config: &Config,
    command: Command,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let operator = &Operator::connected(config).await?;
    match command {
        Command::Ls { state, queue, page, page_size, json } => {
            let states = state.map_or_else(|| JobState::ALL.to_vec(), |state| vec![state]);
            list::run(operator, &states, queue.as_deref(), page, page_size, json).await
        }
        Command::Show { id, json } => show(operator, &id, json).await,
        Command::Run { job, slot, note, json } => {
            let run = run_now::RunNow { operator, name: &job, slot, note, json };
            tokio::select! {
                ended = jobs::run_for_each_job(&run) => ended,
                () = shutdown.cancelled() => bail!("interrupted; the job may still run"),
            }
        }
        Command::Cancel { id, note, json } => remove(operator, &CANCEL, &id, note, json).await,
        Command::Delete { id, note, json } => remove(operator, &DELETE, &id, note, json).await,
    }
}

async fn found(operator: &Operator<'_>, id: &str) -> anyhow::Result<JobReport> {
    let found = operator.inspector.job(id).await?;
    found.with_context(|| format!("there is no job {id:?}; `cotiza job ls` lists all jobs"))
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
        ("enqueued", optional_moment(job.enqueued_at)),
        ("started", optional_moment(job.started_at)),
        ("ended", optional_moment(job.ended_at)),
        ("duration", job.duration.map_or_else(empty_cell, |took| format!("{took:.3} s"))),
        ("tries", job.tries.to_string()),
        ("worker", job.worker.unwrap_or_else(empty_cell)),
        ("error", job.error.unwrap_or_else(empty_cell)),
    ];
    print(&table(&[], rows.map(|(name, value)| vec![name.to_owned(), value])))
}

/// A command that removes a job.
struct Removal {
    action: &'static str,
    done: &'static str,
    /// The states in which it is allowed, and the message for other states.
    states: &'static [JobState],
    rule: &'static str,
    /// The message for a job that has left these states in the meantime.
    too_late: &'static str,
}

const CANCEL: Removal = Removal {
    action: "cancel",
    done: "cancelled",
    states: &[JobState::Waiting],
    rule: "only waiting jobs can be cancelled",
    too_late: "is no longer waiting",
};
const DELETE: Removal = Removal {
    action: "delete",
    done: "deleted",
    states: &[JobState::Done, JobState::Dead],
    rule: "only jobs that have ended can be deleted",
    too_late: "no longer exists",
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
    // The action is recorded even if a later step fails.
    let noted = operator.note(format!("job {} {id} ({queue} {job})", removal.action), note).await;
    let missed = match state {
        JobState::Waiting => record_paused_slots(operator, queue, &removed).await,
        _ => Ok(()),
    };
    noted.and(missed).with_context(|| text.clone())?;
    print_done(json, &text, &json!({ "id": id, "removed": true }))
}

/// Records that the slots of jobs are missed because an operator removed the jobs or paused their queue.
pub(super) async fn record_paused_slots(
    operator: &Operator<'_>,
    queue: &'static str,
    payloads: &[Vec<u8>],
) -> anyhow::Result<()> {
    struct HeldBack<'a> {
        operator: &'a Operator<'a>,
        queue: &'static str,
        payloads: &'a [Vec<u8>],
    }

    impl ForEachJob for HeldBack<'_> {
        async fn run<J: ScheduledJob>(&self) -> anyhow::Result<()> {
            if J::NAME != self.queue {
                return Ok(());
            }
            let read = |payload: &Vec<u8>| serde_json::from_slice::<J>(payload).ok();
            let jobs: Vec<J> = self.payloads.iter().filter_map(read).collect();
            if jobs.is_empty() {
                return Ok(());
            }
            Ok(J::not_started(&jobs, &self.operator.store, MissedReason::Paused).await?)
        }
    }

    if payloads.is_empty() {
        return Ok(());
    }
    jobs::run_for_each_job(&HeldBack { operator, queue, payloads }).await
}
