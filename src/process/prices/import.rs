//! Takes samples in from a file or standard input.

mod reader;

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use futures_util::{TryStreamExt, stream};

use self::reader::{BadLine, Reader};
use super::progress;
use crate::{domain::Observation, store::Store};

/// Samples that are stored in one step: enough to make a round trip cheap, few enough that Redis
/// is held up for some milliseconds only.
const BATCH: usize = 1000;
/// Batches under way at the same time.
const IN_FLIGHT: usize = 4;
/// Bad lines that are shown one by one.
const SHOWN: usize = 10;

pub(super) async fn run(store: &Store, path: &Path, skip_bad: bool) -> anyhow::Result<()> {
    let mut file = open(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Everything is read once before anything is stored.
    let (good, bad) = check(&mut file)?;
    if bad > 0 && !skip_bad {
        bail!("nothing was imported: {bad} bad lines (--skip-bad leaves such lines out)");
    }
    file.rewind()?;
    // Noted, so that whoever records in slots of another length counts these anew.
    store.settle_slots().await?;
    let bar = progress(Some(good), "samples");
    let samples = Reader::new(&mut file)?.filter_map(|line| match line {
        Ok(Err(_bad)) => None,
        Ok(Ok(observation)) => Some(Ok(observation)),
        Err(error) => Some(Err(anyhow::Error::from(error))),
    });
    let stored: u64 = stream::iter(Batches(samples))
        .map_ok(|batch| {
            let (store, bar) = (store.clone(), bar.clone());
            async move {
                let stored = store.record_all(&batch).await?;
                bar.inc(batch.len() as u64);
                anyhow::Ok(stored)
            }
        })
        .try_buffered(IN_FLIGHT)
        .try_fold(0, async |sum, stored| Ok(sum + stored))
        .await?;
    bar.finish_and_clear();
    writeln!(
        io::stdout(),
        "imported {stored} samples; {} were left out because their slot has one or was trimmed, {bad} lines were bad",
        good.saturating_sub(stored)
    )?;
    Ok(())
}

/// The file. What can be read only once, such as standard input, is put into one first.
fn open(path: &Path) -> io::Result<File> {
    let mut given: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path)?;
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Box::new(file)
    };
    let folder = std::env::temp_dir();
    let spool = |error: io::Error| {
        let folder = folder.display();
        io::Error::new(error.kind(), format!("it is put into a file in {folder} first: {error}"))
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(spool)?;
    io::copy(&mut given, &mut file).map_err(spool)?;
    file.rewind()?;
    Ok(file)
}

/// Counts good and bad lines, and shows the first bad ones.
fn check(file: &mut File) -> anyhow::Result<(u64, usize)> {
    let (mut good, mut bad) = (0, 0);
    for line in Reader::new(file)? {
        match line? {
            Ok(_sample) => good += 1,
            Err(BadLine { number, reason }) => {
                bad += 1;
                if bad <= SHOWN {
                    writeln!(io::stderr(), "line {number}: {reason}")?;
                }
            }
        }
    }
    if bad > SHOWN {
        writeln!(io::stderr(), "... and {} more", bad - SHOWN)?;
    }
    Ok((good, bad))
}

/// Cuts samples into batches.
struct Batches<I>(I);

impl<I: Iterator<Item = anyhow::Result<Observation>>> Iterator for Batches<I> {
    type Item = anyhow::Result<Vec<Observation>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch: anyhow::Result<Vec<Observation>> = self.0.by_ref().take(BATCH).collect();
        match batch {
            Ok(batch) if batch.is_empty() => None,
            batch => Some(batch),
        }
    }
}
