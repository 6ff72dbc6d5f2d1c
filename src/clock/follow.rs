//! Asking Redis for the time, again and again; and logging when it is away, since this is what every
//! process does all the time.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisResult, Script, aio::ConnectionLike};
use tokio::time::sleep;

use super::{
    Clock,
    outage::{Outages, Report},
    uptime,
};
use crate::{connection::Server, telemetry::seconds};

static TIME: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('TIME')"));
/// The key in whose slot of a cluster the samples are.
const KEY: &str = "prices";

/// How often Redis is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is asked again after a failure.
const RETRY: Duration = Duration::from_millis(200);
/// The answers at the start that come one after the other: the quickest one is the most exact.
const FIRST_ANSWERS: u32 = 5;

impl Clock {
    /// A clock that follows the one of Redis for as long as the runtime lives. Must be called within
    /// a tokio runtime.
    pub fn following(server: &Server) -> Self {
        let (clock, mut connection) = (Self::default(), server.shared());
        let followed = clock.clone();
        let server = server.clone();
        tokio::spawn(async move {
            let (mut answers, mut outages) = (0, Outages::default());
            loop {
                let sent = uptime();
                let asked = followed.ask(&mut connection).await;
                log_outage(&mut outages, &server, sent, &asked);
                answers += u32::from(asked.is_ok());
                match asked {
                    Err(_) => sleep(RETRY).await,
                    Ok(()) if answers < FIRST_ANSWERS => {}
                    Ok(()) => sleep(EVERY).await,
                }
            }
        });
        clock
    }

    /// Asks Redis for the time, and takes the answer in. It is asked by a script: in a cluster that runs on
    /// the server whose clock recording goes by, and a server that is loading its data refuses it.
    ///
    /// # Errors
    /// If Redis fails; the estimate stays.
    pub async fn ask(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        let sent = uptime();
        let (seconds, micros): (u64, u32) = TIME.key(KEY).invoke_async(connection).await?;
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
fn log_outage(outages: &mut Outages, server: &Server, sent: Duration, asked: &RedisResult<()>) {
    let redis = server.shown();
    match asked {
        Ok(()) => {
            if let Some(Report::Ended(lasted)) = outages.answered(uptime()) {
                tracing::info!(redis, lasted_s = seconds(lasted), "Redis is back");
            }
        }
        Err(error) => match outages.failed(sent, uptime()) {
            Some(Report::Started) => {
                tracing::warn!(redis, %error, advice = server.advice(error), "Redis is away");
            }
            Some(Report::Lasts(lasted)) => {
                let (lasted_s, advice) = (seconds(lasted), server.advice(error));
                tracing::warn!(redis, lasted_s, %error, advice, "Redis is still away");
            }
            _ => {}
        },
    }
}
