//! Changes to queues and jobs by operators. A request is sent once, since a repeated one would no longer
//! report what has changed. Only the client of a cluster repeats it if a connection breaks.

use std::sync::LazyLock;

use redis::{AsyncCommands, RedisResult, Script};

use super::{Inspector, backlog, inspect::BATCH, report::JobState, settings};

static PAUSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("pause.lua")));
static RESUME: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("resume.lua")));

impl Inspector {
    /// Pauses a queue: jobs are neither enqueued nor taken by workers until it is resumed. Running jobs are
    /// completed. Returns whether the queue was not paused before.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn pause(&self, queue: &str, by: &str, note: &str) -> RedisResult<bool> {
        let settings = settings::for_queue(&self.connection, queue).await?;
        let mut pause = PAUSE.key(settings::pause_key(&settings));
        pause
            .key(settings.active_jobs_list())
            .key(settings::held_list(&settings))
            .arg(by)
            .arg(note);
        pause.invoke_async(&mut self.connection.current().await?).await
    }

    /// Resumes a queue. Returns whether it was paused.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn resume(&self, queue: &str) -> RedisResult<bool> {
        let settings = settings::for_queue(&self.connection, queue).await?;
        let mut connection = self.connection.current().await?;
        let mut resume = RESUME.key(settings::pause_key(&settings));
        resume.key(settings.active_jobs_list()).key(settings::held_list(&settings));
        let was_paused: bool = resume.invoke_async(&mut connection).await?;
        let _listeners: u64 = connection.publish(settings::jobs_channel(&settings), 1).await?;
        Ok(was_paused)
    }

    /// Removes all jobs in the given state from a queue, except running ones. Returns the payloads of the
    /// removed jobs, even if an error prevents the removal of the rest.
    pub async fn purge(&self, queue: &str, state: JobState) -> (Vec<Vec<u8>>, RedisResult<()>) {
        let mut removed = Vec::new();
        let purged = async {
            for ids in self.ids(queue, state).await?.chunks(BATCH) {
                removed.extend(self.remove(queue, state, ids).await?);
            }
            Ok(())
        };
        let result = purged.await;
        (removed, result)
    }

    /// Removes those of the jobs that are in the given state from a queue, except running ones. Returns the
    /// payloads of the removed jobs.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn remove(
        &self,
        queue: &str,
        state: JobState,
        ids: &[String],
    ) -> RedisResult<Vec<Vec<u8>>> {
        if ids.is_empty() || state == JobState::Running {
            return Ok(Vec::new());
        }
        let settings = settings::for_queue(&self.connection, queue).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let remove = backlog::removal(&settings, state, &ids);
        remove.invoke_async(&mut self.connection.current().await?).await
    }
}
