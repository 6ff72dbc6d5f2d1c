//! Keeps all queues within their bounds, one caretaker at a time.

use redis::{Client, RedisResult, cmd};

use super::{settings, tidy};
use crate::{
    config,
    connection::{self, SharedConnection},
};

/// STRING: there while somebody tidies up, with a time to live should he die of it.
const LOCK: &str = "housekeeping:running";
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
    ///
    /// # Errors
    /// If the URL of the client cannot be used.
    pub fn new(
        client: &Client,
        queues: Vec<&'static str>,
        config: &config::Queue,
    ) -> RedisResult<Self> {
        let connection = connection::shared(client)?;
        Ok(Self { connection, queues, config: config.clone() })
    }

    /// Forgets finished jobs that are old enough and workers that are gone. Gives how many they
    /// were; none if another caretaker is at it.
    ///
    /// # Errors
    /// If Redis fails; the next time completes it.
    pub async fn tidy(&self) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let mut lock = cmd("SET");
        lock.arg(LOCK).arg(1).arg("NX").arg("EX").arg(LOCK_SECONDS);
        match lock.query_async::<bool>(&mut connection).await {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            // A full Redis can forget. Two caretakers do no harm, they only work twice.
            Err(error) if error.code() == Some("OOM") => {}
            Err(error) => return Err(error),
        }
        let mut forgotten = 0;
        for queue in &self.queues {
            let settings = settings::settings(queue, 1);
            forgotten += tidy::forget(connection.clone(), &settings, &self.config).await?;
        }
        cmd("DEL").arg(LOCK).query_async::<()>(&mut connection).await?;
        Ok(forgotten)
    }
}
