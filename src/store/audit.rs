//! What operators have done, the last thing first.

use redis::pipe;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, answer, keys};

/// Actions that are remembered.
const REMEMBERED: isize = 1000;

/// Something that an operator has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When, in unix seconds.
    pub at: i64,
    /// Who, `<user>@<host>`.
    pub by: String,
    /// What, such as `queue pause fetch_btc_ars`.
    pub action: String,
    /// Why, in the operator's words; may be empty.
    pub note: String,
}

impl Store {
    /// Notes what an operator has done.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn note_action(&self, action: &Action) -> Result<(), StoreError> {
        let mut note = pipe();
        note.lpush(keys::AUDIT, serde_json::to_string(action).unwrap_or_default()).ignore();
        note.ltrim(keys::AUDIT, 0, REMEMBERED - 1).ignore();
        self.once("note what an operator has done", &note).await
    }

    /// The last actions of operators, the last one first: at most 1000.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn actions(&self) -> Result<Vec<Action>, StoreError> {
        let (mut command, connection) = (redis::cmd("LRANGE"), &mut self.connection.clone());
        let read = command.arg(keys::AUDIT).arg(0).arg(-1).query_async::<Vec<String>>(connection);
        let texts = answer("read what operators have done", read).await?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
