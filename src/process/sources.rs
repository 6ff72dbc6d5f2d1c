//! `cotiza sources`: sends test requests to the sources, so that an operator can see how they respond to this
//! machine. Depends on `clock`, `config`, `domain` and `exchange`.

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::{bail, ensure};
use clap::Subcommand;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    config::{self, Config},
    domain::{Attempt, PriceFilter},
    exchange,
};

/// Longer than the timeout of any request.
const TIMEOUT: Duration = Duration::from_mins(11);

/// The commands for sources.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send one request to each source and print the result; exit with 1 if an enabled source fails
    Check {
        /// Check only this source, even if it is disabled
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the source does not exist, or if an enabled source does not return an accepted price.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let Command::Check { name, json } = command;
    let sources = chosen(&config.sources, name.as_deref())?;
    let (every, clock) = (config.schedule.every, Clock::machine());
    let selected = exchange::Sources::with(&config.sources, sources.clone(), every, &clock)?;
    let price_filter: PriceFilter = super::price_filter(config);
    let round = selected.fetch_each(&price_filter, Instant::now() + TIMEOUT).await;
    let of = |name: &str| round.attempts.iter().find(|attempt| attempt.source == name);
    let rows: Vec<_> =
        sources.into_iter().filter_map(|(name, source)| Some((of(name)?, source))).collect();
    if json {
        print_json(&rows)?;
    } else {
        print_table(&rows)?;
    }
    let bad = |(attempt, source): &&(&Attempt, &config::Source)| {
        attempt.answer.is_err() && (source.enabled || name.is_some())
    };
    match rows.iter().filter(bad).count() {
        0 => Ok(()),
        1 => bail!("one source did not return an accepted price"),
        count => bail!("{count} sources did not return an accepted price"),
    }
}

/// Returns the sources to check: the named one, or all, enabled ones first.
fn chosen<'a>(
    config: &'a config::Sources,
    name: Option<&str>,
) -> anyhow::Result<Vec<(&'a String, &'a config::Source)>> {
    let mut sources = config.in_order();
    if let Some(name) = name {
        let all: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(
            all.contains(&name),
            "there is no source {name:?}; the sources are {}",
            all.join(", ")
        );
        sources.retain(|(other, _)| *other == name);
    }
    Ok(sources)
}

fn print_table(rows: &[(&Attempt, &config::Source)]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{:<16} {:<7} {:>10} {:>18} {:>18}  VERDICT",
        "SOURCE", "ENABLED", "LATENCY", "ASK", "BID"
    )?;
    for (attempt, source) in rows {
        let (ask, bid, verdict) = match &attempt.answer {
            Ok(quote) => (quote.ask.to_string(), quote.bid.map(|bid| bid.to_string()), "ok"),
            Err(failure) => ("-".to_owned(), None, failure.text.as_str()),
        };
        writeln!(
            out,
            "{:<16} {:<7} {:>7} ms {:>18} {:>18}  {}",
            attempt.source,
            if source.enabled { "yes" } else { "no" },
            attempt.took.as_millis(),
            ask,
            bid.unwrap_or_else(|| "-".to_owned()),
            verdict,
        )?;
    }
    Ok(())
}

fn print_json(rows: &[(&Attempt, &config::Source)]) -> anyhow::Result<()> {
    let row = |(attempt, source): &(&Attempt, &config::Source)| {
        let quote = attempt.answer.as_ref().ok();
        // Prices are strings, so that every reader gets their exact values.
        json!({
            "source": attempt.source,
            "enabled": source.enabled,
            "url": config::mask_url(source.url.as_str()),
            "ok": quote.is_some(),
            "latency_ms": u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
            "ask": quote.map(|quote| quote.ask.to_string()),
            "bid": quote.and_then(|quote| quote.bid).map(|bid| bid.to_string()),
            "reason": attempt.answer.as_ref().err().map(|failure| failure.reason.name()),
            "error": attempt.answer.as_ref().err().map(|failure| &failure.text),
        })
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    writeln!(stdout(), "{}", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}
