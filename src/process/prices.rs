//! `cotiza prices`: imports, exports and queries samples and maintains their blocks. Depends on `config`,
//! `domain` and `history`.

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

/// The header of CSV output.
const CSV_HEADER: &str = "timestamp,price,source";

/// The commands for samples.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the average price of a range and the number of its samples
    Average(Range),
    /// Print one page of samples as CSV, oldest first
    List {
        /// The range.
        #[command(flatten)]
        range: Range,
        /// Number of the page, from 1, or `last`
        #[arg(long, default_value = "1")]
        page: PageNumber,
        /// Samples per page, up to 1000
        #[arg(long, default_value = "10")]
        page_size: PageSize,
    },
    /// Import samples; a slot that has a sample keeps it, so a repeated import changes nothing
    Import {
        /// CSV file with the header `timestamp,price`, or NDJSON file with these names; - for standard input.
        /// Times are unix seconds or RFC 3339. An additional column `source` is optional
        file: PathBuf,
        /// Skip and count invalid lines; without this flag, a file with invalid lines is not imported
        #[arg(long)]
        skip_bad: bool,
    },
    /// Export samples, oldest first
    Export {
        /// The range.
        #[command(flatten)]
        range: Range,
        /// Format of the output
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// File to write to [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Compare the blocks of all hours with their text form and their checksums; exit with 1 if a block is
    /// wrong
    Check,
    /// Rebuild wrong blocks from their text form, after samples were edited manually
    Rebuild,
    /// Restore the text form of all hours, to return to an older version or to the old stack; stop the
    /// workers first
    Unseal,
}

/// A time range; both ends are inclusive.
#[derive(Debug, Clone, Copy, Args)]
pub struct Range {
    /// Start of the range, in unix seconds or RFC 3339 [default: the first sample]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    since: Option<UnixTime>,
    /// End of the range, in unix seconds or RFC 3339 [default: the last sample]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    until: Option<UnixTime>,
}

/// The format of exported samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// CSV with the header `timestamp,price,source`
    Csv,
    /// One JSON object per line
    Ndjson,
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the input is invalid, a file cannot be used, or Redis fails.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let mut config = config.clone();
    // The data that was read at the start stays valid until the end of the command.
    config.api.stale_for = Duration::MAX;
    let (store, server) = super::store(&config)?;
    let history = super::history(&config, store)?;
    super::with_advice(history.refresh().await, &server)?;
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

/// Returns a progress bar on standard error, if that is a terminal. Without `total`, its length is unknown.
fn progress(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template =
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {what} ({{per_sec}}, {{eta}} left)");
    // The template is constant except for `what`. If it were invalid, the default style would be used.
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
