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
/// If there is no such job or queue, if it cannot be done, or if Redis fails.
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
        Command::Cancel { id, note, json } => cancel(operator, &id, note, json).await,
        Command::Delete { id, note, json } => delete(operator, &id, note, json).await,
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

async fn cancel(
    operator: &Operator<'_>,
    id: &str,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let job = found(operator, id).await?;
    let state = job.state.name();
    ensure!(job.state == JobState::Waiting, "job {id} is {state}; only a waiting one is cancelled");
    let removed = operator.inspector.remove(job.queue, job.state, &[id.to_owned()]).await?;
    ensure!(!removed.is_empty(), "job {id} does not wait any more");
    let text = format!("cancelled {id}");
    // What was removed is noted, whatever else fails.
    let noted = operator.note(format!("job cancel {id} ({} {})", job.queue, job.job), note).await;
    let told = note_held_back(operator, job.queue, &removed).await;
    noted.and(told).with_context(|| text.clone())?;
    print_done(json, &text, &json!({ "id": id, "removed": true }))
}

async fn delete(
    operator: &Operator<'_>,
    id: &str,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let job = found(operator, id).await?;
    let state = job.state.name();
    let has_ended = matches!(job.state, JobState::Done | JobState::Dead);
    ensure!(has_ended, "job {id} is {state}; only one that has ended is deleted");
    let removed = operator.inspector.remove(job.queue, job.state, &[id.to_owned()]).await?;
    ensure!(!removed.is_empty(), "job {id} is not there any more");
    operator.note(format!("job delete {id} ({} {})", job.queue, job.job), note).await?;
    print_done(json, &format!("deleted {id}"), &json!({ "id": id, "removed": true }))
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
