//! What an operator does with the blocks of hours: check, rebuild, unseal.

use std::io::{Write as _, stdout};

use anyhow::bail;

use crate::history::History;

pub(super) async fn check(history: &History) -> anyhow::Result<()> {
    let (hours, findings) = history.check().await?;
    let mut out = stdout().lock();
    for finding in &findings {
        let help = if finding.can_be_rebuilt {
            "`cotiza prices rebuild` rebuilds it from text"
        } else {
            "its samples are lost, unless a backup or an export has them"
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
    writeln!(stdout(), "restored the text of {restored} hours")?;
    Ok(())
}
