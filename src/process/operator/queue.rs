//! `cotiza queue`: look at queues, pause and resume them, remove their jobs.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum, builder::PossibleValuesParser};
use poem_openapi::types::ToJSON;
use serde_json::json;

use super::{
    Operator,
    job::{self, list},
    output::{lasting, moment, nothing, print, print_done, print_json, table},
};
use crate::{
    api::{JobResponse, QueueResponse, queues},
    config::Config,
    jobs::QUEUES,
    queue::JobState,
};

/// What can be done with queues.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the queues: jobs by state, workers, whether paused
    #[command(after_help = "Examples:\n  cotiza queue ls\n  cotiza queue ls --json")]
    Ls {
        /// As JSON, as /api/queues/ answers
        #[arg(long)]
        json: bool,
    },
    /// Show a queue and its newest jobs
    #[command(after_help = "Examples:\n  cotiza queue inspect fetch_btc_ars")]
    Inspect {
        /// The name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// As JSON: the queue and its newest jobs
        #[arg(long)]
        json: bool,
    },
    /// Enqueue nothing into a queue and take nothing from it, until it is resumed; running jobs end
    #[command(
        after_help = "Slots that are missed meanwhile have the reason `paused`.\n\nExamples:\n  \
                      cotiza queue pause fetch_btc_ars --note 'the exchange is being updated'"
    )]
    Pause {
        /// The name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// Why; shown by `queue ls`, on the page and in the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// Resume a paused queue
    #[command(after_help = "Examples:\n  cotiza queue resume fetch_btc_ars")]
    Resume {
        /// The name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// For the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove all jobs in a state; running ones cannot be removed
    #[command(after_help = "Examples:\n  cotiza queue purge fetch_btc_ars --state dead")]
    Purge {
        /// The name of the queue
        #[arg(value_parser = PossibleValuesParser::new(QUEUES))]
        queue: String,
        /// Which jobs
        #[arg(long, value_enum)]
        state: Removable,
        /// For the audit log
        #[arg(long)]
        note: Option<String>,
        /// Say what was done as JSON
        #[arg(long)]
        json: bool,
    },
}

/// The states in which jobs can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Removable {
    /// Those that no worker has taken
    Waiting,
    /// Those that have ended well
    Done,
    /// Those that were given up
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

/// The newest jobs that are shown of a queue.
const SHOWN: usize = 10;
/// The newest waiting jobs whose slots are noted when a queue is paused.
const HELD: usize = 1000;

/// Runs the command.
///
/// # Errors
/// If Redis fails.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let operator = Operator::at_work(config).await?;
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

/// Queues as a table.
pub(super) fn queue_table(queues: &[QueueResponse]) -> String {
    let rows = queues.iter().map(|queue| {
        vec![
            queue.name.clone(),
            queue.waiting.to_string(),
            queue.running.to_string(),
            queue.done.to_string(),
            queue.dead.to_string(),
            queue.oldest_due_age.map_or_else(nothing, |age| format!("{age:.1} s")),
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
    let by = super::who();
    let is_new = operator.inspector.pause(name, &by, note.as_deref().unwrap_or_default()).await?;
    operator.note(format!("queue pause {name}"), note).await?;
    // Their slots may end before it is resumed; a job that is run in time takes its reason away.
    let held = operator.inspector.jobs(&[name], &[JobState::Waiting], 0, HELD).await?;
    let held: Vec<Vec<u8>> = held.iter().map(|job| job.job.to_string().into_bytes()).collect();
    job::note_held_back(operator, name, &held).await?;
    let text = if is_new {
        format!("{name} is paused; `cotiza queue resume {name}` resumes it")
    } else {
        format!("{name} was paused already")
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
    let text = format!("{name} {}", if was_paused { "is resumed" } else { "was not paused" });
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
    // What was removed is noted, whatever else fails.
    let noted = operator.note(format!("queue purge {name} --state {of_state}"), note).await;
    let told = match state {
        JobState::Waiting => job::note_held_back(operator, name, &removed).await,
        _ => Ok(()),
    };
    ended.with_context(|| format!("{text}, but not all"))?;
    noted.and(told).with_context(|| text.clone())?;
    print_done(json, &text, &json!({ "queue": name, "state": of_state, "removed": count }))
}

/// How long ago, for people.
pub(super) fn ago(now: i64, then: i64) -> String {
    format!("{} ago", lasting(now - then))
}
