//! `cotiza queue`: lists, pauses and resumes queues, and removes their jobs. Depends on `api`, `config`,
//! `jobs` and `queue`.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum, builder::PossibleValuesParser};
use poem_openapi::types::ToJSON;
use serde_json::json;

use super::{
    Operator,
    job::{self, list},
    output::{duration_text, empty_cell, moment, print, print_done, print_json, table},
};
use crate::{
    api::{JobResponse, QueueResponse, queues},
    config::Config,
    jobs::QUEUES,
    queue::JobState,
};

/// The commands for queues.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the queues with their jobs by state, their workers, and whether they are paused
    #[command(after_help = "Examples:\n  cotiza queue ls\n  cotiza queue ls --json")]
    Ls {
        /// Print JSON, in the format of /api/queues/
        #[arg(long)]
        json: bool,
    },
    /// Show a queue and its newest jobs
    #[command(after_help = "Examples:\n  cotiza queue inspect fetch_btc_ars")]
    Inspect {
        /// Name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// Print the queue and its newest jobs as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pause a queue: no jobs are enqueued or started until it is resumed; running jobs continue to their end
    #[command(
        after_help = "Slots that are missed during the pause have the reason `paused`.\n\nExamples:\n  \
                      cotiza queue pause fetch_btc_ars --note 'the exchange is being updated'"
    )]
    Pause {
        /// Name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// Reason of the pause; shown by `queue ls`, on the web page and in the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Resume a paused queue
    #[command(after_help = "Examples:\n  cotiza queue resume fetch_btc_ars")]
    Resume {
        /// Name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// Comment for the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove all jobs in a state; running ones cannot be removed
    #[command(after_help = "Examples:\n  cotiza queue purge fetch_btc_ars --state dead")]
    Purge {
        /// Name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// State of the jobs to remove
        #[arg(long, value_enum)]
        state: Removable,
        /// Comment for the audit log
        #[arg(long)]
        note: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// The states in which jobs can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Removable {
    /// Jobs that no worker has started
    Waiting,
    /// Jobs that have succeeded
    Done,
    /// Jobs that were given up
    Dead,
}

impl From<Removable> for JobState {
    fn from(state: Removable) -> Self {
        match state {
            Removable::Waiting => Self::Waiting,
            Removable::Done => Self::Done,
            Removable::Dead => Self::Dead,
        }
    }
}

/// The number of newest jobs that are shown of a queue.
const SHOWN: usize = 10;
/// The maximum number of waiting jobs whose slots get a missed reason when a queue is paused.
const HELD: usize = 1000;

/// Runs the command.
///
/// # Errors
/// Returns an error if Redis fails.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let operator = Operator::connected(config).await?;
    match command {
        Command::Ls { json } => {
            let list = queues(&operator.inspector).await?;
            if json { print_json(&list) } else { print(&queue_table(&list.queues)) }
        }
        Command::Inspect { queue, json } => inspect(&operator, &queue, json).await,
        Command::Pause { queue, note, json } => pause(&operator, &queue, note, json).await,
        Command::Resume { queue, note, json } => resume(&operator, &queue, note, json).await,
        Command::Purge { queue, state, note, json } => {
            purge(&operator, &queue, state.into(), note, json).await
        }
    }
}

/// Formats queues as a table.
pub(super) fn queue_table(queues: &[QueueResponse]) -> String {
    let rows = queues.iter().map(|queue| {
        vec![
            queue.name.clone(),
            queue.waiting.to_string(),
            queue.running.to_string(),
            queue.done.to_string(),
            queue.dead.to_string(),
            queue.oldest_due_age.map_or_else(empty_cell, |age| format!("{age:.1} s")),
            queue.workers.to_string(),
            queue.paused.as_ref().map_or_else(
                || "no".to_owned(),
                |pause| format!("since {} by {} {}", moment(pause.since), pause.by, pause.note),
            ),
        ]
    });
    let header =
        ["QUEUE", "WAITING", "RUNNING", "DONE", "DEAD", "OLDEST WAITS", "WORKERS", "PAUSED"];
    table(&header, rows)
}

async fn inspect(operator: &Operator<'_>, name: &str, json: bool) -> anyhow::Result<()> {
    let name = operator.queue(name)?;
    let mut list = queues(&operator.inspector).await?;
    list.queues.retain(|queue| queue.name == name);
    let jobs = operator.inspector.jobs(&[name], &JobState::ALL, 0, SHOWN).await?;
    let jobs: Vec<JobResponse> = jobs.into_iter().map(Into::into).collect();
    if json {
        let queue = list.queues.first().and_then(ToJSON::to_json);
        let answer = json!({ "queue": queue, "newest_jobs": jobs });
        return print(&serde_json::to_string_pretty(&answer)?);
    }
    print(&queue_table(&list.queues))?;
    print("")?;
    print(&list::job_table(jobs))
}

async fn pause(
    operator: &Operator<'_>,
    name: &str,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let name = operator.queue(name)?;
    let by = super::current_user();
    let is_new = operator.inspector.pause(name, &by, note.as_deref().unwrap_or_default()).await?;
    operator.note(format!("queue pause {name}"), note).await?;
    // The slots of waiting jobs may end before the queue is resumed. If a job still runs in time, its slot is
    // no longer missed.
    let held = operator.inspector.jobs(&[name], &[JobState::Waiting], 0, HELD).await?;
    let held: Vec<Vec<u8>> = held.iter().map(|job| job.job.to_string().into_bytes()).collect();
    job::record_paused_slots(operator, name, &held).await?;
    let text = if is_new {
        format!("{name} is paused; `cotiza queue resume {name}` resumes it")
    } else {
        format!("{name} was already paused")
    };
    print_done(json, &text, &json!({ "queue": name, "paused": true, "changed": is_new }))
}

async fn resume(
    operator: &Operator<'_>,
    name: &str,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let name = operator.queue(name)?;
    let was_paused = operator.inspector.resume(name).await?;
    if was_paused {
        operator.note(format!("queue resume {name}"), note).await?;
    }
    let text = format!("{name} {}", if was_paused { "has been resumed" } else { "was not paused" });
    print_done(json, &text, &json!({ "queue": name, "paused": false, "changed": was_paused }))
}

async fn purge(
    operator: &Operator<'_>,
    name: &str,
    state: JobState,
    note: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let name = operator.queue(name)?;
    let (removed, ended) = operator.inspector.purge(name, state).await;
    let (count, of_state) = (removed.len(), state.name());
    let text = format!("removed {count} jobs that were {of_state} from {name}");
    // The action is recorded even if a later step fails.
    let noted = operator.note(format!("queue purge {name} --state {of_state}"), note).await;
    let missed = match state {
        JobState::Waiting => job::record_paused_slots(operator, name, &removed).await,
        _ => Ok(()),
    };
    ended.with_context(|| format!("{text}, then an error stopped the removal of the others"))?;
    noted.and(missed).with_context(|| text.clone())?;
    print_done(json, &text, &json!({ "queue": name, "state": of_state, "removed": count }))
}

/// Formats the time since a moment.
pub(super) fn ago(now: i64, then: i64) -> String {
    format!("{} ago", duration_text(now - then))
}
