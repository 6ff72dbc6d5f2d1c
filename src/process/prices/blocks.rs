//! `cotiza prices check`, `rebuild` and `unseal`: maintenance of the blocks of hours. Depends on `history`.

use std::io::{Write as _, stdout};

use anyhow::bail;

use crate::history::History;

pub(super) async fn check(history: &History) -> anyhow::Result<()> {
    let (hours, findings) = history.check().await?;
    let mut out = stdout().lock();
    for finding in &findings {
        let help = if finding.can_be_rebuilt {
            "`cotiza prices rebuild` rebuilds it from its text form"
        } else {
            "its samples are lost; import them from an export or restore a backup"
        };
        writeln!(out, "hour {}: {}; {help}", finding.hour, finding.problem)?;
    }
    writeln!(out, "checked {hours} hours")?;
    match findings.len() {
        0 => Ok(()),
        1 => bail!("the block of one hour is wrong"),
        count => bail!("the blocks of {count} hours are wrong"),
    }
}

pub(super) async fn rebuild(history: &History) -> anyhow::Result<()> {
    let rebuilt = history.rebuild().await?;
    writeln!(stdout(), "rebuilt {rebuilt} blocks")?;
    Ok(())
}

pub(super) async fn unseal(history: &History) -> anyhow::Result<()> {
    let restored = history.restore_text().await?;
    writeln!(stdout(), "restored the text form of {restored} hours")?;
    Ok(())
}
