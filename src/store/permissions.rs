//! Finds commands that Cotiza needs but the Redis user of this process is not permitted to send.

use std::sync::LazyLock;

use redis::Script;

use super::{Store, StoreError, failed, send};

static TRY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("permissions.lua")));

/// A key that has the same prefix as the keys of the store.
const PROBE: &str = "{prices}:probe";
/// A channel that has the same prefix as the channels that announce jobs.
const CHANNEL: &str = "tasks:probe";

impl Store {
    /// Returns the commands that this user is not permitted to send, each with the key or channel that was
    /// tried. Empty if everything is permitted. `keys` are unused key names to try besides that of the store.
    ///
    /// # Errors
    /// Returns an error if Redis fails, or if scripts are not permitted at all.
    pub async fn denied_commands(&self, keys: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut connection = send("connect to Redis", self.connection.current()).await?;
        let mut denied = Vec::new();
        for key in [PROBE.to_owned()].into_iter().chain(keys) {
            let mut step = TRY.key(&key);
            step.arg(CHANNEL);
            let names = step.invoke_async::<Vec<String>>(&mut connection);
            let names = send("check the permissions of the user", names).await?;
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
