//! Asking Redis for the time, again and again.

use std::time::Duration;

use redis::{Client, RedisResult, aio::ConnectionLike};
use tokio::time::sleep;

use super::{Clock, uptime};
use crate::connection;

/// How often Redis is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is asked again after a failure.
const RETRY: Duration = Duration::from_millis(200);
/// The answers at the start that come one after the other: the quickest one is the most exact.
const FIRST_ANSWERS: u32 = 5;

impl Clock {
    /// A clock that follows the one of Redis for as long as the runtime lives. Must be called within
    /// a tokio runtime.
    ///
    /// # Errors
    /// If the URL of the client cannot be used.
    pub fn following(client: &Client) -> RedisResult<Self> {
        let (clock, mut connection) = (Self::default(), connection::shared(client)?);
        let followed = clock.clone();
        tokio::spawn(async move {
            let mut answers = 0;
            loop {
                let asked = followed.ask(&mut connection).await;
                answers += u32::from(asked.is_ok());
                match asked {
                    Err(_) => sleep(RETRY).await,
                    Ok(()) if answers < FIRST_ANSWERS => {}
                    Ok(()) => sleep(EVERY).await,
                }
            }
        });
        Ok(clock)
    }

    /// Asks Redis for the time, and takes the answer in.
    ///
    /// # Errors
    /// If Redis fails; the estimate stays.
    pub async fn ask(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        let sent = uptime();
        let (seconds, micros): (u64, u32) = redis::cmd("TIME").query_async(connection).await?;
        let time = Duration::new(seconds, micros.saturating_mul(1000));
        if let Some(by) = self.take_in(sent, uptime(), time) {
            tracing::warn!(
                "the clock of Redis was set by {by:+.1} s; nothing is deleted for a day"
            );
        }
        self.report();
        Ok(())
    }
}
