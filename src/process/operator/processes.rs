//! `cotiza process`: lists the processes. Depends on `api` and `config`.

use clap::Subcommand;

use super::{
    Operator,
    output::{duration_text, empty_cell, print, print_json, table},
};
use crate::{
    api::{ProcessResponse, processes},
    config::Config,
};

/// The commands for processes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the schedulers, workers and apis of the last hour, and the jobs that they run
    #[command(after_help = "Examples:\n  cotiza process ls\n  cotiza process ls --json")]
    Ls {
        /// Print JSON, in the format of /api/processes/
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// Returns an error if Redis fails.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let Command::Ls { json } = command;
    let operator = Operator::connected(config).await?;
    let list = processes(&operator.store, &operator.inspector).await?;
    if json {
        return print_json(&list);
    }
    let now = operator.store.clock().unix_seconds();
    let rows = list.processes.iter().map(|process| row(process, now));
    let header = ["ROLE", "HOST", "PID", "VERSION", "UP", "STATE", "CLOCK", "WORK"];
    print(&table(&header, rows))
}

fn row(process: &ProcessResponse, now: i64) -> Vec<String> {
    let work: Vec<String> =
        process.work.iter().map(|job| format!("{} {}", job.queue, job.job)).collect();
    vec![
        format!("{:?}", process.role).to_lowercase(),
        process.host.clone(),
        process.pid.map_or_else(empty_cell, |pid| pid.to_string()),
        process.version.clone().unwrap_or_else(empty_cell),
        process.started_at.map_or_else(empty_cell, |at| duration_text(now - at)),
        if process.alive {
            "alive".to_owned()
        } else {
            format!("silent for {}", duration_text(now - process.last_seen))
        },
        process.clock_skew.map_or_else(empty_cell, |skew| format!("{skew:+.1} s")),
        if work.is_empty() { empty_cell() } else { work.join(", ") },
    ]
}
