//! Takes samples in from a file or standard input.

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

/// Samples that are read before they are stored.
const BATCH: u64 = 50_000;
/// Hours that are stored at the same time.
const IN_FLIGHT: usize = 16;
/// How often an hour is tried again that changes meanwhile.
const TRIES: usize = 10;
/// Bad lines that are shown one by one.
const SHOWN: usize = 10;

/// Samples by the first seconds of their hours.
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
    store.ask_time().await?;
    let now = store.clock().unix_seconds();
    let end = schedule.slot(now).end();
    // Everything is read once before anything is stored.
    let (good, bad) = check(&mut file, end)?;
    if bad > 0 && !skip_bad {
        bail!("nothing was imported: {bad} bad lines (--skip-bad leaves such lines out)");
    }
    file.rewind()?;
    if let Some(text) = text {
        begin_with_blocks(store, hour_of(now.saturating_sub_unsigned(text.as_secs()))).await?;
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
        "imported {stored} samples; {} were left out because their slot has one, {bad} lines were bad",
        good.saturating_sub(stored)
    )?;
    Ok(())
}

/// Stores samples before a unix second as blocks alone, unless there is text before it: that is
/// dropped by housekeeping, as its configuration says.
async fn begin_with_blocks(store: &Store, before: i64) -> Result<(), StoreError> {
    let counts = store.counts().await?;
    let text = store.members_in(&[(UnixTime::MIN.second(), before)]).await?;
    if counts.boundary.is_none() && text == [0] {
        store.move_boundary(before).await?;
    }
    Ok(())
}

/// Adds samples to their hour. Gives how many there were whose slots had none.
async fn add(
    store: &Store,
    schedule: &Schedule,
    hour: i64,
    mut samples: Vec<Observation>,
) -> Result<u64, StoreError> {
    samples.sort_by_key(|observation| observation.sample.timestamp);
    for _ in 0..TRIES {
        let stored = store.hour(hour).await?;
        if let Some(added) = store.add(&stored, &samples, schedule).await? {
            return Ok(added);
        }
    }
    Err(StoreError::Contended { operation: "add samples", hour })
}

/// Reads the file and hands the samples over in batches.
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
fn check(file: &mut File, end: i64) -> anyhow::Result<(u64, usize)> {
    let (mut good, mut bad) = (0, 0);
    let mut reader = Reader::new(file, end)?;
    while let Some(line) = reader.next()? {
        match line {
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
