//! Questions to the samples, and the rebuild of their rollups.

use std::io::{Write as _, stderr, stdout};

use anyhow::Context as _;

use super::{CSV_HEADER, export::write_csv, progress};
use crate::{
    domain::{PageNumber, PageSize, TimeRange},
    store::{Aggregate, Store},
};

pub(super) async fn average(store: &Store, range: &TimeRange) -> anyhow::Result<()> {
    let Aggregate { summary: total, resolution } = store.total(range).await?;
    if let Some(length) = resolution {
        let length = humantime::format_duration(length);
        writeln!(
            stderr(),
            "samples were trimmed: the ends of the range are as coarse as {length}"
        )?;
    }
    writeln!(stdout(), "{}\t{}", total.average(), total.count)?;
    Ok(())
}

pub(super) async fn list(
    store: &Store,
    range: &TimeRange,
    page: PageNumber,
    size: PageSize,
) -> anyhow::Result<()> {
    let page = store.page(range, page, size).await?.context("there is no such page")?;
    let mut out = stdout().lock();
    writeln!(out, "{CSV_HEADER}")?;
    for observation in &page.items {
        write_csv(&mut out, observation)?;
    }
    Ok(())
}

pub(super) async fn rebuild(store: &Store) -> anyhow::Result<()> {
    let (first, last) = store.first_and_last().await?.unwrap_or_default();
    let bar = progress(u64::try_from(last.saturating_sub(first)).ok(), "seconds");
    store.rebuild_all(|seconds| bar.inc(seconds.unsigned_abs())).await?;
    bar.finish_and_clear();
    let summary = store.aggregate(&TimeRange::default()).await?.summary;
    writeln!(stdout(), "rebuilt the rollups of {} samples", summary.count)?;
    Ok(())
}
