//! `cotiza audit`: lists the actions of operators. Depends on `config` and `store`.

use super::{
    Operator,
    output::{moment, print, table},
};
use crate::config::Config;

/// Prints the actions of operators, the latest first.
///
/// # Errors
/// Returns an error if Redis fails.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    let actions = Operator::connected(config).await?.store.actions().await?;
    if json {
        return print(&serde_json::to_string_pretty(&actions)?);
    }
    let rows = actions
        .into_iter()
        .map(|action| vec![moment(action.at), action.by, action.action, action.note]);
    print(&table(&["WHEN", "WHO", "WHAT", "NOTE"], rows))
}
