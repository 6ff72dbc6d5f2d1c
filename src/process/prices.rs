//! `cotiza prices`: samples in and out, questions to them, and the care of blocks, for the shell.

mod blocks;
mod export;
mod import;
mod query;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    config::Config,
    domain::{PageNumber, PageSize, TimeRange, UnixTime},
};

/// What samples are written under.
const CSV_HEADER: &str = "timestamp,price,source";

/// What can be done with the samples.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the average price of a range and how many samples it is made of
    Average(Range),
    /// Print one page of samples, oldest first, as CSV
    List {
        /// The range.
        #[command(flatten)]
        range: Range,
        /// Which page: a number from 1, or `last`
        #[arg(long, default_value = "1")]
        page: PageNumber,
        /// Samples a page, up to 1000
        #[arg(long, default_value = "10")]
        page_size: PageSize,
    },
    /// Take samples in; a slot that has one keeps it, so doing it twice changes nothing
    Import {
        /// CSV with the header `timestamp,price`, or NDJSON with these names; - for standard input.
        /// Times are unix seconds or RFC 3339; a third column, `source`, may be there
        file: PathBuf,
        /// Leave bad lines out and count them, instead of storing nothing
        #[arg(long)]
        skip_bad: bool,
    },
    /// Write samples out, oldest first
    Export {
        /// The range.
        #[command(flatten)]
        range: Range,
        /// How they are written
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Where to; without it, to standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Compare the blocks of all hours with their text and their checksums; exit with 1 if one is
    /// wrong
    Check,
    /// Rebuild wrong blocks from text, after samples were edited by hand
    Rebuild,
    /// Restore the text of all hours, to go back to an older version or to the old stack; stop the
    /// workers first
    Unseal,
}

/// A stretch of time, both ends inclusive.
#[derive(Debug, Clone, Copy, Args)]
pub struct Range {
    /// The first moment, in unix seconds or RFC 3339 [default: the beginning]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    since: Option<UnixTime>,
    /// The last moment [default: the end]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    until: Option<UnixTime>,
}

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header, then `timestamp,price,source`
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// Runs the command.
///
/// # Errors
/// On bad input, a file that cannot be used, or a Redis that fails.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let mut config = config.clone();
    // What was read at the start of the command stays valid until its end.
    config.api.stale_for = Duration::MAX;
    let (store, server) = super::store(&config)?;
    let history = super::history(&config, store)?;
    super::reached(history.refresh().await, &server)?;
    match command {
        Command::Average(range) => query::average(&history, &range.try_into()?).await,
        Command::List { range, page, page_size } => {
            query::list(&history, &range.try_into()?, page, page_size).await
        }
        Command::Export { range, format, output } => {
            export::run(&history, &range.try_into()?, format, output.as_deref()).await
        }
        Command::Check => blocks::check(&history).await,
        Command::Rebuild => blocks::rebuild(&history).await,
        Command::Unseal => blocks::unseal(&history).await,
        Command::Import { file, skip_bad } => {
            import::run(&history, &file, skip_bad, config.prices.text).await
        }
    }
}

impl TryFrom<Range> for TimeRange {
    type Error = crate::domain::TimeRangeError;

    fn try_from(range: Range) -> Result<Self, Self::Error> {
        Self::new(range.since, range.until)
    }
}

/// A bar on standard error, if that is a terminal; of unknown length without `total`.
fn progress(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template =
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {what} ({{per_sec}}, {{eta}} left)");
    // The template is a constant but for `what`; were it wrong, the bar would look plainer.
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
