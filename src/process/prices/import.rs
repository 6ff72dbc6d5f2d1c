//! `cotiza prices import`: imports samples from a file or standard input. Depends on `domain`, `history` and
//! `store`.

mod reader;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::mpsc::{Sender, channel},
    task,
};

use self::reader::{BadLine, Reader};
use super::progress;
use crate::{
    domain::{Observation, Schedule, UnixTime},
    history::History,
    store::{Store, StoreError, hour_of},
};

/// The number of samples that are read before they are stored.
const BATCH: u64 = 50_000;
/// The number of hours that are stored concurrently.
const IN_FLIGHT: usize = 16;
/// The number of attempts to store an hour that other processes change at the same time.
const ATTEMPTS: usize = 10;
/// The number of invalid lines that are printed.
const SHOWN: usize = 10;

/// Samples by the first second of their hour.
type Batch = BTreeMap<i64, Vec<Observation>>;

pub(super) async fn run(
    history: &History,
    path: &Path,
    skip_bad: bool,
    text: Option<Duration>,
) -> anyhow::Result<()> {
    let mut file = open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let store = history.store();
    let schedule = Arc::new(store.schedule().await?);
    store.sync_clock().await?;
    let now = store.clock().unix_seconds();
    let end = schedule.slot(now).end();
    // The whole file is checked before anything is stored.
    let (good, bad) = check(&mut file, end)?;
    if bad > 0 && !skip_bad {
        bail!("nothing was imported: {bad} lines are invalid (--skip-bad imports the other lines)");
    }
    file.rewind()?;
    if let Some(text) = text {
        store_old_samples_as_blocks(store, hour_of(now.saturating_sub_unsigned(text.as_secs())))
            .await?;
    }
    let bar = progress(Some(good), "samples");
    let (sender, mut batches) = channel(1);
    let reading = task::spawn_blocking(move || read(&mut file, end, &sender));
    let mut stored = 0;
    while let Some(batch) = batches.recv().await {
        let hours = batch.into_iter().map(|(hour, samples)| {
            let (store, schedule, bar) = (store.clone(), Arc::clone(&schedule), bar.clone());
            task::spawn(async move {
                let count = samples.len() as u64;
                let added = add(&store, &schedule, hour, samples).await;
                bar.inc(count);
                added
            })
        });
        let mut added = stream::iter(hours).buffer_unordered(IN_FLIGHT);
        while let Some(added) = added.try_next().await? {
            stored += added?;
        }
    }
    reading.await??;
    bar.finish_and_clear();
    writeln!(
        io::stdout(),
        "imported {stored} samples; {} were skipped because their slot has one, {bad} lines were invalid",
        good.saturating_sub(stored)
    )?;
    Ok(())
}

/// Stores samples before the given unix second only as blocks, unless samples in text form exist before it.
/// Housekeeping removes that text form as configured.
async fn store_old_samples_as_blocks(store: &Store, before: i64) -> Result<(), StoreError> {
    let counts = store.counts().await?;
    let text = store.members_in(&[(UnixTime::MIN.second(), before)]).await?;
    if counts.boundary.is_none() && text == [0] {
        store.move_boundary(before).await?;
    }
    Ok(())
}

/// Adds samples to their hour. Returns the number of samples that were stored because their slots had none.
async fn add(
    store: &Store,
    schedule: &Schedule,
    hour: i64,
    mut samples: Vec<Observation>,
) -> Result<u64, StoreError> {
    samples.sort_by_key(|observation| observation.sample.timestamp);
    for _ in 0..ATTEMPTS {
        let stored = store.hour(hour).await?;
        if let Some(added) = store.add(&stored, &samples, schedule).await? {
            return Ok(added);
        }
    }
    Err(StoreError::Contended { operation: "add samples", hour })
}

/// Reads the file and sends the samples in batches.
fn read(file: &mut File, end: i64, batches: &Sender<Batch>) -> anyhow::Result<()> {
    let mut reader = Reader::new(file, end)?;
    let (mut batch, mut count) = (Batch::new(), 0);
    while let Some(line) = reader.next()? {
        let Ok(observation) = line else { continue };
        batch.entry(hour_of(observation.sample.timestamp.second())).or_default().push(observation);
        count += 1;
        if count == BATCH {
            count = 0;
            batches.blocking_send(std::mem::take(&mut batch))?;
        }
    }
    Ok(batches.blocking_send(batch)?)
}

/// Opens the file. Input that can be read only once, such as standard input, is copied to a temporary file.
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
        let text = format!("cannot copy the input to a temporary file in {folder}: {error}");
        io::Error::new(error.kind(), text)
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(spool)?;
    io::copy(&mut given, &mut file).map_err(spool)?;
    file.rewind()?;
    Ok(file)
}

/// Counts valid and invalid lines, and prints the first invalid ones.
fn check(file: &mut File, end: i64) -> anyhow::Result<(u64, usize)> {
    let (mut good, mut bad) = (0, 0);
    let mut reader = Reader::new(file, end)?;
    while let Some(line) = reader.next()? {
        match line {
            Ok(_sample) => good += 1,
            Err(BadLine { number, error }) => {
                bad += 1;
                if bad <= SHOWN {
                    writeln!(io::stderr(), "line {number}: {error}")?;
                }
            }
        }
    }
    if bad > SHOWN {
        writeln!(io::stderr(), "... and {} more", bad - SHOWN)?;
    }
    Ok((good, bad))
}
