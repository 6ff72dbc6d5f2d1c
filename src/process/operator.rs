//! What operators do by hand, with access to Redis: look at queues, jobs and processes, and change them.
//! Each change is noted in Redis, with who made it.

mod audit;
mod job;
mod output;
mod processes;
mod queue;
mod status;

use anyhow::{Context as _, bail};

pub use self::{
    audit::run as audit, job::Command as JobCommand, job::run as job,
    processes::Command as ProcessCommand, processes::run as processes,
    queue::Command as QueueCommand, queue::run as queue, status::Status, status::run as status,
};
use crate::{
    config::Config,
    connection::Server,
    jobs,
    queue::Inspector,
    store::{Action, Store},
};

/// An operator at work on one Redis.
struct Operator<'a> {
    config: &'a Config,
    server: Server,
    store: Store,
    inspector: Inspector,
}

impl<'a> Operator<'a> {
    /// An operator on the configured Redis, which must answer.
    async fn at_work(config: &'a Config) -> anyhow::Result<Self> {
        let operator = Self::new(config)?;
        super::reached(operator.store.ask_time().await, &operator.server)?;
        Ok(operator)
    }

    fn new(config: &'a Config) -> anyhow::Result<Self> {
        let (store, server) = super::store(config)?;
        let inspector = Inspector::new(&server, jobs::QUEUES.to_vec(), &config.queue);
        Ok(Self { config, server, store, inspector })
    }

    /// The queue of that name.
    fn queue(&self, name: &str) -> anyhow::Result<&'static str> {
        let all = self.inspector.names();
        match all.iter().find(|known| **known == name) {
            Some(known) => Ok(known),
            None => bail!("there is no queue {name:?}; there are {}", all.join(", ")),
        }
    }

    /// Notes what was done.
    async fn note(&self, action: String, note: Option<String>) -> anyhow::Result<()> {
        let at = self.store.clock().unix_seconds();
        let action = Action { at, by: who(), action, note: note.unwrap_or_default() };
        self.store.note_action(&action).await.context("it is done, but not in the audit log")
    }
}

/// The user of this process, `<user>@<host>`.
fn who() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let user = user.map_or_else(|| uid.to_string(), |user| user.name);
    format!("{user}@{}", super::host())
}
