//! Changes that are applied once even if their request is sent twice: after a connection broke, the client
//! cannot know whether Redis has executed the last request.

use std::sync::LazyLock;

use redis::{Arg, Pipeline, Script};

use super::{Store, StoreError, keys, send};

static ONCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("once.lua")));

/// Returns a key of [`keys::DONE`] for a new request.
pub(super) fn done_key() -> String {
    format!("{}{:016x}", keys::DONE, fastrand::u64(..))
}

impl Store {
    /// Sends commands whose first argument is their key. They are executed atomically and once.
    pub(super) async fn execute_once(
        &self,
        operation: &'static str,
        commands: &Pipeline,
    ) -> Result<(), StoreError> {
        let mut step = ONCE.key(done_key());
        for command in commands.cmd_iter() {
            let words: Vec<&[u8]> = command
                .args_iter()
                .map(|word| match word {
                    Arg::Simple(word) => word,
                    _ => &[],
                })
                .collect();
            if let Some(key) = words.get(1) {
                step.key(*key);
            }
            step.arg(words.len()).arg(words);
        }
        let connection = &mut self.connection.clone();
        send(operation, step.invoke_async::<u8>(connection)).await.map(drop)
    }
}
