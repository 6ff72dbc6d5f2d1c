//! Writes samples out, in constant memory.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;

use super::{CSV_HEADER, Format};
use crate::{
    domain::{Observation, TimeRange},
    store::Store,
};

pub(super) async fn run(
    store: &Store,
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
    match export(store, range, format, BufWriter::with_capacity(1 << 16, &mut out)).await {
        // `cotiza prices export | head` has read enough.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        ended => ended,
    }
}

async fn export(
    store: &Store,
    range: &TimeRange,
    format: Format,
    mut out: impl Write + Send,
) -> anyhow::Result<()> {
    if format == Format::Csv {
        writeln!(out, "{CSV_HEADER}")?;
    }
    let mut pieces = store.pieces(range);
    while let Some(observations) = pieces.next().await? {
        for observation in &observations {
            match format {
                Format::Csv => write_csv(&mut out, observation)?,
                Format::Ndjson => write_json(&mut out, observation)?,
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Writes one line of CSV. No field needs quotes.
pub(super) fn write_csv(out: &mut impl Write, observation: &Observation) -> io::Result<()> {
    let Observation { sample, provenance } = observation;
    let source = provenance.as_ref().map(|from| from.source.as_str()).unwrap_or_default();
    writeln!(out, "{},{},{source}", sample.timestamp, sample.price)
}

/// Writes one line of NDJSON.
fn write_json(out: &mut impl Write, observation: &Observation) -> io::Result<()> {
    let Observation { sample, provenance } = observation;
    write!(out, r#"{{"timestamp":{},"price":{},"source":"#, sample.timestamp, sample.price)?;
    match provenance {
        Some(from) => writeln!(out, "\"{}\"}}", from.source),
        None => writeln!(out, "null}}"),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
