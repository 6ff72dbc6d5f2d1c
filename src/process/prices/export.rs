//! Writes samples out, in constant memory.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context as _;

use super::Format;
use crate::{
    domain::{Sample, TimeRange},
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
        writeln!(out, "timestamp,price")?;
    }
    let mut pieces = store.pieces(range);
    while let Some(samples) = pieces.next().await? {
        for Sample { timestamp, price } in samples {
            match format {
                Format::Csv => writeln!(out, "{timestamp},{price}")?,
                Format::Ndjson => writeln!(out, r#"{{"timestamp":{timestamp},"price":{price}}}"#)?,
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
