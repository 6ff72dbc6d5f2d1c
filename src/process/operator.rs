//! The commands with which operators inspect and change queues, jobs and processes. They require access to
//! Redis. Each change is recorded in the audit log in Redis, with the user who made it. Depends on `api`,
//! `config`, `connection`, `jobs`, `queue` and `store`.

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

/// What the commands of operators need: the configuration and access to Redis.
struct Operator<'a> {
    config: &'a Config,
    server: Server,
    store: Store,
    inspector: Inspector,
}

impl<'a> Operator<'a> {
    /// Connects to the configured Redis, which must be available.
    async fn connected(config: &'a Config) -> anyhow::Result<Self> {
        let operator = Self::new(config)?;
        super::with_advice(operator.store.sync_clock().await, &operator.server)?;
        Ok(operator)
    }

    fn new(config: &'a Config) -> anyhow::Result<Self> {
        let (store, server) = super::store(config)?;
        let inspector = Inspector::new(&server, jobs::QUEUES.to_vec(), &config.queue);
        Ok(Self { config, server, store, inspector })
    }

    /// Returns the queue with this name.
    fn queue(&self, name: &str) -> anyhow::Result<&'static str> {
        let all = self.inspector.names();
        match all.iter().find(|known| **known == name) {
            Some(known) => Ok(known),
            None => bail!("there is no queue {name:?}; the queues are {}", all.join(", ")),
        }
    }

    /// Records an action in the audit log.
    async fn note(&self, action: String, note: Option<String>) -> anyhow::Result<()> {
        let at = self.store.clock().unix_seconds();
        let action = Action { at, by: current_user(), action, note: note.unwrap_or_default() };
        let recorded = self.store.record_action(&action).await;
        recorded.context("the action succeeded but is not in the audit log")
    }
}

/// Returns the user of this process as `<user>@<host>`.
fn current_user() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let user = user.map_or_else(|| uid.to_string(), |user| user.name);
    format!("{user}@{}", super::host())
}
