//! Changes that are made once, although the request for them may be sent twice: when a connection breaks,
//! nobody knows whether Redis has carried out what was sent last.

use std::sync::LazyLock;

use redis::{Arg, Pipeline, Script};

use super::{Store, StoreError, answer, keys};

static ONCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("once.lua")));

/// A key of [`keys::DONE`] for a new request.
pub(super) fn done() -> String {
    format!("{}{:016x}", keys::DONE, fastrand::u64(..))
}

impl Store {
    /// Sends commands, the first argument of each of which is its key; they are carried out together, once.
    pub(super) async fn once(
        &self,
        operation: &'static str,
        commands: &Pipeline,
    ) -> Result<(), StoreError> {
        let mut step = ONCE.key(done());
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
        answer(operation, step.invoke_async::<u8>(connection)).await.map(drop)
    }
}
