//! `cotiza prices export`: writes samples, with constant memory. Depends on `domain`, `history` and `store`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;

use super::{CSV_HEADER, Format};
use crate::{
    domain::{TimeRange, pesos},
    history::History,
    store::Row,
};

/// The number of samples that are read at once.
const ROWS: u64 = 36_000;

pub(super) async fn run(
    history: &History,
    range: &TimeRange,
    format: Format,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let mut out: Box<dyn Write + Send> = match output {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot write to {}", path.display()))?,
        ),
        None => Box::new(io::stdout()),
    };
    match export(history, range, format, BufWriter::with_capacity(1 << 16, &mut out)).await {
        // The reader has closed the pipe, as `cotiza prices export | head` does.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        ended => ended,
    }
}

async fn export(
    history: &History,
    range: &TimeRange,
    format: Format,
    mut out: impl Write + Send,
) -> anyhow::Result<()> {
    if format == Format::Csv {
        writeln!(out, "{CSV_HEADER}")?;
    }
    let ranks = history.ranks(range).await?.value;
    let mut next = ranks.start;
    while next < ranks.end {
        let end = (next + ROWS).min(ranks.end);
        for row in history.rows(next..end).await?.value {
            match format {
                Format::Csv => write_csv(&mut out, &row)?,
                Format::Ndjson => write_json(&mut out, &row)?,
            }
        }
        next = end;
    }
    out.flush()?;
    Ok(())
}

/// Writes one line of CSV. No field contains characters that need quotes.
pub(super) fn write_csv(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let source = row.source.as_deref().unwrap_or_default();
    writeln!(out, "{},{},{source}", row.timestamp, pesos(row.price).normalize())
}

/// Writes one line of NDJSON.
fn write_json(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let price = pesos(row.price).normalize();
    write!(out, r#"{{"timestamp":{},"price":{price},"source":"#, row.timestamp)?;
    match &row.source {
        Some(source) => writeln!(out, "\"{source}\"}}"),
        None => writeln!(out, "null}}"),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
