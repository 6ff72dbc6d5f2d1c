//! Keeps all queues within their bounds, one caretaker at a time.

use redis::{RedisResult, cmd};

use super::{settings, tidy};
use crate::{
    config,
    connection::{Server, SharedConnection},
};

/// The queue whose key `<queue>:running` (STRING) is the lock. The key expires, in case its owner dies.
const LOCKED: &str = "housekeeping";
const LOCK_SECONDS: u64 = 10;

/// Keeps the queues of the given names within their bounds.
#[derive(Debug, Clone)]
pub struct Caretaker {
    connection: SharedConnection,
    queues: Vec<&'static str>,
    config: config::Queue,
}

impl Caretaker {
    /// A caretaker of the queues.
    pub fn new(server: &Server, queues: Vec<&'static str>, config: &config::Queue) -> Self {
        Self { connection: server.shared(), queues, config: config.clone() }
    }

    /// Forgets finished jobs that are old enough and workers that are gone. Gives how many they
    /// were; none if another caretaker is at it.
    ///
    /// # Errors
    /// If Redis fails; the next time completes it.
    pub async fn tidy(&self) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let key = settings::running(&settings::of(&connection, LOCKED).await?);
        let mut lock = cmd("SET");
        lock.arg(&key).arg(1).arg("NX").arg("EX").arg(LOCK_SECONDS);
        match lock.query_async::<bool>(&mut connection).await {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            // A full Redis can forget. Two caretakers do no harm, they only work twice.
            Err(error) if error.code() == Some("OOM") => {}
            Err(error) => return Err(error),
        }
        let mut forgotten = 0;
        for queue in &self.queues {
            let settings = settings::of(&connection, queue).await?;
            forgotten += tidy::forget(connection.clone(), &settings, &self.config).await?;
        }
        cmd("DEL").arg(key).query_async::<()>(&mut connection).await?;
        Ok(forgotten)
    }
}
