//! `cotiza audit`: what operators have done.

use super::{
    Operator,
    output::{moment, print, table},
};
use crate::config::Config;

/// Prints what operators have done, the last thing first.
///
/// # Errors
/// If Redis fails.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    let actions = Operator::at_work(config).await?.store.actions().await?;
    if json {
        return print(&serde_json::to_string_pretty(&actions)?);
    }
    let rows = actions
        .into_iter()
        .map(|action| vec![moment(action.at), action.by, action.action, action.note]);
    print(&table(&["WHEN", "WHO", "WHAT", "NOTE"], rows))
}
