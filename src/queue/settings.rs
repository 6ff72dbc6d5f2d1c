//! The settings of apalis-redis for a queue, and the names of the Redis keys of a queue.

use std::{convert::Infallible, time::Duration};

use apalis::prelude::WorkerError;
use apalis_core::backend::finalize::DurableError;
use apalis_redis::{Config, Error};
use redis::RedisResult;

use crate::connection::{self, QUEUE_TAG, SharedConnection};

/// How long the key of a job prevents it from being enqueued again: three of the longest slots. After that,
/// no scheduler tries to enqueue it.
const IDEMPOTENCY_TTL: Duration = Duration::from_hours(3);

/// The interval of apalis's own heartbeats and checks for dead workers, which go by the clock of the machine:
/// practically never, since `heartbeat` replaces them. It must be less than the unix time.
const NEVER: Duration = Duration::from_hours(365 * 24);

/// Returns the settings of apalis-redis for the queue with this name, on the Redis of the connection.
pub(super) async fn for_queue(connection: &SharedConnection, name: &str) -> RedisResult<Config> {
    Ok(settings(name, connection.current().await?.is_cluster(), 1))
}

/// Returns the settings of apalis-redis for the queue with this name. In a cluster, the keys of all queues
/// are in one hash slot, see [`QUEUE_TAG`].
pub(super) fn settings(name: &str, is_cluster: bool, concurrency: usize) -> Config {
    let name = if is_cluster { format!("{QUEUE_TAG}{name}") } else { name.to_owned() };
    Config::default()
        .queue(&name)
        .heartbeat_interval(NEVER)
        .missed_heartbeats(1)
        // Fetch no more jobs than can run at once: while jobs wait in its buffer, a worker of apalis
        // neither sends heartbeats nor acknowledges jobs.
        .batch_size(concurrency)
        // With locks, each job costs a scan of the whole backlog.
        .lock_tasks(false)
        .emit_events(false)
        // Without results, jobs are not acknowledged either, so that each one runs again.
        .persist_results(true)
        // With `None`, keys would expire immediately.
        .idempotency_ttl(Some(IDEMPOTENCY_TTL))
}

/// Returns whether an error of apalis-redis means that Redis is unavailable, see [`connection::is_outage`].
pub(super) fn is_outage(error: &Error) -> bool {
    matches!(error, Error::Database(error) if connection::is_outage(error))
}

/// Returns whether an error that ended a worker means that Redis is unavailable.
pub(super) fn ended_by_outage(error: &WorkerError) -> bool {
    let WorkerError::BackendError(error) = error else { return false };
    match error.downcast_ref() {
        Some(DurableError::<Error, Infallible>::PollNextError(error)) => is_outage(error),
        _ => error.downcast_ref().is_some_and(is_outage) || connection::is_outage(&**error),
    }
}

/// Returns the key of the last heartbeats of the workers.
pub(super) fn heartbeats_key(settings: &Config) -> String {
    format!("{}:alive", settings.queue.as_ref())
}

/// Returns unused keys that match the patterns of the keys of the queues, to check permissions.
pub fn probe_keys(queues: &[&str], is_cluster: bool) -> Vec<String> {
    let probe = |name: &&str| format!("{}:probe", settings(name, is_cluster, 1).queue.as_ref());
    let mut keys: Vec<String> = queues.iter().map(probe).collect();
    // apalis stores the names of queues at a key with this prefix.
    keys.push(format!("core:apalis:{QUEUE_TAG}probe"));
    keys
}

/// Returns the prefix of the keys at which apalis stores the metadata of workers.
pub(super) fn worker_metadata(settings: &Config) -> String {
    format!("{}:workers:metadata:", settings.queue.as_ref())
}

/// Returns the key that exists while the queue is paused.
pub(super) fn pause_key(settings: &Config) -> String {
    format!("{}:paused", settings.queue.as_ref())
}

/// Returns the key of the jobs that wait while the queue is paused.
pub(super) fn held_list(settings: &Config) -> String {
    format!("{}:held", settings.queue.as_ref())
}

/// Returns the key that exists while a janitor removes finished jobs.
pub(super) fn janitor_lock(settings: &Config) -> String {
    format!("{}:running", settings.queue.as_ref())
}

/// Returns the channel on which new jobs are announced to idle workers.
pub(super) fn jobs_channel(settings: &Config) -> String {
    format!("tasks:{}:available", settings.active_jobs_list())
}
