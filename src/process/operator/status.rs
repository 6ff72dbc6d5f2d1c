//! `cotiza status`: the status of the system on one screen. Depends on `api`, `config` and `history`.

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::bail;
use clap::Args;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Operator,
    output::{bytes, duration_text, empty_cell, moment, print, print_json, printable, table},
    queue::{ago, queue_table},
};
use crate::{
    api::{StatusResponse, status},
    config::Config,
    history::History,
};

/// The interval of `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// The escape sequences that clear a terminal and move the cursor to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The options of `cotiza status`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Status {
    /// Print JSON, in the format of /api/status/
    #[arg(long)]
    json: bool,
    /// Refresh every two seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

/// Prints the status of the system.
///
/// # Errors
/// Returns an error if there are problems; the message contains their number.
pub async fn run(
    config: &Config,
    shown: Status,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let operator = Operator::new(config)?;
    let history = crate::process::history(config, operator.store.clone())?;
    if !shown.watch {
        let status = look(&operator, &history).await;
        if shown.json {
            print_json(&status)?;
        } else {
            print(&text(&status))?;
        }
        return match status.problems.len() {
            0 => Ok(()),
            1 => bail!("there is 1 problem"),
            count => bail!("there are {count} problems"),
        };
    }
    loop {
        let shown = async {
            let text = text(&look(&operator, &history).await);
            writeln!(stdout(), "{CLEAR}{text}")?;
            stdout().flush()?;
            sleep(EVERY).await;
            anyhow::Ok(())
        };
        tokio::select! {
            shown = shown => shown?,
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn look(operator: &Operator<'_>, history: &History) -> StatusResponse {
    // If Redis is unavailable, the status reports it.
    let _away = operator.store.sync_clock().await;
    let _not_loaded = history.refresh().await;
    status(history, &operator.inspector, operator.config).await
}

fn text(status: &StatusResponse) -> String {
    let mut lines = vec![price(status)];
    if status.simulated {
        lines.push("            SIMULATED: these prices are not real".to_owned());
    }
    lines.push(coverage(status));
    lines.push(processes(status));
    lines.push(redis(status));
    lines.push(history(status));
    for problem in &status.problems {
        lines.push(printable(&format!("problem     {} (runbook: {})", problem.text, problem.help)));
    }
    if !status.queues.is_empty() {
        lines.push(String::new());
        lines.push(queue_table(&status.queues));
    }
    let enabled: Vec<_> = status.sources.iter().filter(|source| source.enabled).collect();
    if !enabled.is_empty() {
        lines.push(String::new());
        let rows = enabled.iter().map(|source| {
            vec![
                source.name.clone(),
                format!("{:?}", source.state).to_lowercase(),
                source.latency_p50_ms.map_or_else(empty_cell, |ms| format!("{ms:.0} ms")),
                percent(source.share),
                source.last_failure.clone().unwrap_or_else(empty_cell),
            ]
        });
        lines.push(table(&["SOURCE", "CIRCUIT", "LATENCY", "SHARE", "LAST FAILURE"], rows));
    }
    lines.join("\n")
}

fn price(status: &StatusResponse) -> String {
    let Some(price) = &status.price else { return "price       none".to_owned() };
    let stale = if price.stale { ", STALE" } else { "" };
    let source = price.source.as_deref().unwrap_or("unknown");
    let (amount, age) = (price.price, ago(status.now, price.timestamp));
    printable(&format!("price       {amount:.2} ARS, {age}{stale}, from {source}"))
}

fn coverage(status: &StatusResponse) -> String {
    let Some(coverage) = &status.coverage else { return "last 24 h   unknown".to_owned() };
    let (recorded, missed) = (coverage.recorded, coverage.missed);
    let share = percent(coverage.share);
    format!("last 24 h   {share} recorded: {recorded} slots, {missed} missed")
}

fn processes(status: &StatusResponse) -> String {
    status.processes.as_ref().map_or_else(
        || "processes   unknown".to_owned(),
        |count| {
            let (schedulers, workers, apis) = (count.scheduler, count.worker, count.api);
            format!("processes   schedulers: {schedulers}, workers: {workers}, apis: {apis}")
        },
    )
}

fn redis(status: &StatusResponse) -> String {
    let redis = &status.redis;
    if !redis.up {
        return "redis       unavailable".to_owned();
    }
    let version = redis.version.as_deref().unwrap_or_default();
    let memory = bytes(redis.memory.unwrap_or_default());
    let most = redis.max_memory.map_or_else(|| "no limit".to_owned(), bytes);
    let latency = redis.latency_ms.unwrap_or_default();
    printable(&format!("redis       {version}, {memory} of {most}, latency {latency:.1} ms"))
}

fn history(status: &StatusResponse) -> String {
    let history = &status.history;
    let Some((first, last)) = history.first.zip(history.last) else {
        return "history     empty".to_owned();
    };
    let (count, length) = (history.samples, duration_text(last - first));
    format!("history     {count} prices since {} ({length})", moment(first))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(empty_cell, |share| format!("{:.1} %", share * 100.0))
}
