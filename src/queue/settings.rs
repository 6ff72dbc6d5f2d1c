//! How apalis-redis is set up for a job, and the names it gives its keys.

use std::{convert::Infallible, time::Duration};

use apalis::prelude::WorkerError;
use apalis_core::backend::finalize::DurableError;
use apalis_redis::{Config, Error};
use redis::RedisResult;

use crate::connection::{self, QUEUE_TAG, SharedConnection};

/// How long a job's key keeps it from being enqueued again: three of the longest slots, after
/// which nobody enqueues it any more.
const IDEMPOTENCY_TTL: Duration = Duration::from_hours(3);

/// So seldom does apalis itself give a heartbeat and look for dead workers: never. It does so by
/// the clock of the machine; `heartbeat` does it by the clock of Redis. It must be less than the
/// unix time.
const NEVER: Duration = Duration::from_hours(365 * 24);

/// The settings of apalis-redis for the queue of this name, on the Redis of a connection.
pub(super) async fn of(connection: &SharedConnection, name: &str) -> RedisResult<Config> {
    Ok(settings(name, connection.current().await?.is_cluster(), 1))
}

/// The settings of apalis-redis for the queue of this name. In a cluster the keys of all queues are in one
/// slot, see [`QUEUE_TAG`].
pub(super) fn settings(name: &str, is_cluster: bool, concurrency: usize) -> Config {
    let name = if is_cluster { format!("{QUEUE_TAG}{name}") } else { name.to_owned() };
    Config::default()
        .queue(&name)
        .heartbeat_interval(NEVER)
        .missed_heartbeats(1)
        // No more is fetched than can run at once: while jobs wait in its buffer a worker
        // neither beats its heart nor acknowledges.
        .batch_size(concurrency)
        // Locks cost a walk over the whole backlog for each job.
        .lock_tasks(false)
        .emit_events(false)
        // Without results there are no acknowledgements either, and every job runs again.
        .persist_results(true)
        // `None` would mean: expire at once.
        .idempotency_ttl(Some(IDEMPOTENCY_TTL))
}

/// Whether an error of apalis-redis says that Redis is away, see [`connection::is_away`].
pub(super) fn is_away(error: &Error) -> bool {
    matches!(error, Error::Database(error) if connection::is_away(error))
}

/// Whether an error that ended a worker says that Redis is away.
pub(super) fn ended_by_absence(error: &WorkerError) -> bool {
    let WorkerError::BackendError(error) = error else { return false };
    match error.downcast_ref() {
        Some(DurableError::<Error, Infallible>::PollNextError(error)) => is_away(error),
        _ => error.downcast_ref().is_some_and(is_away) || connection::is_away(&**error),
    }
}

/// The key of the time at which each worker was last alive.
pub(super) fn alive_set(settings: &Config) -> String {
    format!("{}:alive", settings.queue.as_ref())
}

/// Names of keys like those of the queues, which nothing uses.
pub fn probes(queues: &[&str], is_cluster: bool) -> Vec<String> {
    let of_queue = |name: &&str| format!("{}:probe", settings(name, is_cluster, 1).queue.as_ref());
    let mut keys: Vec<String> = queues.iter().map(of_queue).collect();
    // apalis keeps the names of queues at such a key.
    keys.push(format!("core:apalis:{QUEUE_TAG}probe"));
    keys
}

/// The prefix of the keys of what apalis keeps of each worker.
pub(super) fn worker_metadata(settings: &Config) -> String {
    format!("{}:workers:metadata:", settings.queue.as_ref())
}

/// The key that is there while the queue is paused.
pub(super) fn pause(settings: &Config) -> String {
    format!("{}:paused", settings.queue.as_ref())
}

/// The key of the jobs that wait while the queue is paused.
pub(super) fn held(settings: &Config) -> String {
    format!("{}:held", settings.queue.as_ref())
}

/// The key that is there while somebody tidies up the queues.
pub(super) fn running(settings: &Config) -> String {
    format!("{}:running", settings.queue.as_ref())
}

/// The channel on which a new job is announced to idle workers.
pub(super) fn channel(settings: &Config) -> String {
    format!("tasks:{}:available", settings.active_jobs_list())
}
