//! Asking Redis for the time, again and again; and logging when it is away, since this is what every
//! process does all the time.

use std::time::Duration;

use redis::{Client, RedisResult, Value, aio::ConnectionLike};
use tokio::time::sleep;

use super::{
    Clock,
    outage::{Outages, Report},
    uptime,
};
use crate::{connection, telemetry::seconds};

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
        let address = client.get_connection_info().addr().to_string();
        tokio::spawn(async move {
            let (mut answers, mut outages) = (0, Outages::default());
            loop {
                let sent = uptime();
                let asked = followed.follow(&mut connection).await;
                log_outage(&mut outages, &address, sent, &asked);
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

    /// Asks Redis for the time; fails also while Redis is loading its data, when it answers `TIME` and
    /// hardly anything else.
    async fn follow(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        self.ask(connection).await?;
        match redis::cmd("PING").query_async::<Value>(connection).await {
            Err(error) if connection::is_away(&error) => Err(error),
            _ => Ok(()),
        }
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

/// Logs what a request that was sent at the moment `sent` says about an outage of Redis.
fn log_outage(outages: &mut Outages, redis: &str, sent: Duration, asked: &RedisResult<()>) {
    match asked {
        Ok(()) => {
            if let Some(Report::Ended(lasted)) = outages.answered(uptime()) {
                tracing::info!(redis, lasted_s = seconds(lasted), "Redis is back");
            }
        }
        Err(error) => match outages.failed(sent, uptime()) {
            Some(Report::Started) => tracing::warn!(redis, %error, "Redis is away"),
            Some(Report::Lasts(lasted)) => {
                tracing::warn!(redis, lasted_s = seconds(lasted), %error, "Redis is still away");
            }
            _ => {}
        },
    }
}
