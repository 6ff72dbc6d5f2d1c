//! What operators do to queues and jobs. Requests are sent once, since their answers tell what has changed;
//! but the client of a cluster sends them again if a connection breaks.

use std::sync::LazyLock;

use redis::{AsyncCommands, RedisResult, Script};

use super::{Inspector, inspect::PIECE, report::JobState, settings, tidy};

static PAUSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("pause.lua")));
static RESUME: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("resume.lua")));

impl Inspector {
    /// Pauses a queue: from now on nothing is enqueued into it, and workers take nothing from it. Jobs that
    /// run come to their end. Gives whether it was not paused before.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn pause(&self, queue: &str, by: &str, note: &str) -> RedisResult<bool> {
        let settings = settings::of(&self.connection, queue).await?;
        let mut pause = PAUSE.key(settings::pause(&settings));
        pause.key(settings.active_jobs_list()).key(settings::held(&settings)).arg(by).arg(note);
        pause.invoke_async(&mut self.connection.current().await?).await
    }

    /// Resumes a paused queue; gives whether it was paused.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn resume(&self, queue: &str) -> RedisResult<bool> {
        let settings = settings::of(&self.connection, queue).await?;
        let mut connection = self.connection.current().await?;
        let mut resume = RESUME.key(settings::pause(&settings));
        resume.key(settings.active_jobs_list()).key(settings::held(&settings));
        let was_paused: bool = resume.invoke_async(&mut connection).await?;
        let _listeners: u64 = connection.publish(settings::channel(&settings), 1).await?;
        Ok(was_paused)
    }

    /// Removes all jobs that are in a state now from a queue, but not running ones. Gives what was to be
    /// done by those that were removed, and how it ended.
    pub async fn purge(&self, queue: &str, state: JobState) -> (Vec<Vec<u8>>, RedisResult<()>) {
        let mut removed = Vec::new();
        let ended = async {
            for ids in self.ids(queue, state).await?.chunks(PIECE) {
                removed.extend(self.remove(queue, state, ids).await?);
            }
            Ok(())
        };
        let ended = ended.await;
        (removed, ended)
    }

    /// Removes jobs in a state from a queue, but not running ones. Gives what was to be done by those that
    /// were removed.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn remove(
        &self,
        queue: &str,
        state: JobState,
        ids: &[String],
    ) -> RedisResult<Vec<Vec<u8>>> {
        if ids.is_empty() || state == JobState::Running {
            return Ok(Vec::new());
        }
        let settings = settings::of(&self.connection, queue).await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let remove = tidy::removal(&settings, state, &ids);
        remove.invoke_async(&mut self.connection.current().await?).await
    }
}
