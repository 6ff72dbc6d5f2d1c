//! The audit log: the actions of operators, newest first.

use redis::pipe;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, keys, send};

/// The maximum number of actions that are kept.
const MAX_ACTIONS: isize = 1000;

/// An action of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The time in unix seconds.
    pub at: i64,
    /// The operator, `<user>@<host>`.
    pub by: String,
    /// The action, such as `queue pause fetch_btc_ars`.
    pub action: String,
    /// The reason that the operator gave; may be empty.
    pub note: String,
}

impl Store {
    /// Records an action of an operator.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn record_action(&self, action: &Action) -> Result<(), StoreError> {
        let mut commands = pipe();
        commands.lpush(keys::AUDIT, serde_json::to_string(action).unwrap_or_default()).ignore();
        commands.ltrim(keys::AUDIT, 0, MAX_ACTIONS - 1).ignore();
        self.execute_once("record an action of an operator", &commands).await
    }

    /// Returns the last actions of operators, newest first: at most 1000.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn actions(&self) -> Result<Vec<Action>, StoreError> {
        let (mut command, connection) = (redis::cmd("LRANGE"), &mut self.connection.clone());
        let read = command.arg(keys::AUDIT).arg(0).arg(-1).query_async::<Vec<String>>(connection);
        let texts = send("read the actions of operators", read).await?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
