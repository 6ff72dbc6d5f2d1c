//! `cotiza prices average` and `list`: queries of the recorded prices. Depends on `domain` and `history`.

use std::io::{Write as _, stdout};

use anyhow::Context as _;

use super::{CSV_HEADER, export::write_csv};
use crate::{
    domain::{Order, PageNumber, PageSize, TimeRange},
    history::History,
};

pub(super) async fn average(history: &History, range: &TimeRange) -> anyhow::Result<()> {
    let total = history.total(range).await?.value;
    writeln!(stdout(), "{}\t{}", total.average(), total.count)?;
    Ok(())
}

pub(super) async fn list(
    history: &History,
    range: &TimeRange,
    page: PageNumber,
    size: PageSize,
) -> anyhow::Result<()> {
    let page = history
        .page(range, page, size, Order::Ascending)
        .await?
        .value
        .context("there is no such page; `last` is the last one")?;
    let mut out = stdout().lock();
    writeln!(out, "{CSV_HEADER}")?;
    for row in &page.items {
        write_csv(&mut out, row)?;
    }
    Ok(())
}
