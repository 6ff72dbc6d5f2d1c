//! What the user of this process must not do in Redis, although Cotiza does it.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, answer, failed};

static TRY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("permissions.lua")));

/// A key like those of the store.
const PROBE: &str = "{prices}:probe";
/// A channel like those that announce jobs.
const CHANNEL: &str = "tasks:probe";

impl Store {
    /// The commands that this user must not send, each with the key or channel that it was tried for. Empty
    /// if all is permitted. `keys`: names beside those of the store, which nothing uses.
    ///
    /// # Errors
    /// If Redis fails, or scripts are not permitted at all.
    pub async fn denied(&self, keys: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut connection = answer("connect to Redis", self.connection.current()).await?;
        let mut denied = Vec::new();
        for key in [PROBE.to_owned()].into_iter().chain(keys) {
            let mut step = TRY.key(&key);
            step.arg(CHANNEL);
            let names = step.invoke_async::<Vec<String>>(&mut connection);
            let names = answer("try what this user may do", names).await?;
            denied.extend(names.into_iter().map(|name| format!("{name} {key}")));
        }
        match self.connection.server().subscribe(CHANNEL).await {
            Ok(_subscription) => {}
            Err(error) if error.code() == Some("NOPERM") => {
                denied.push(format!("SUBSCRIBE {CHANNEL}"));
            }
            Err(error) => return Err(failed("subscribe to a channel")(error)),
        }
        Ok(denied)
    }
}
