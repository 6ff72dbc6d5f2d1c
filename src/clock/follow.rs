//! Keeps the clock synchronized with Redis, and logs outages of Redis, because every process sends these
//! requests all the time. Depends on `connection` and `telemetry`.

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
/// A key in the cluster slot of the samples.
const KEY: &str = "prices";

/// The delay after a success.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The delay after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// The first successful requests, which are sent without delay: the fastest response is the most exact.
const INITIAL_SYNCS: u32 = 5;

impl Clock {
    /// Returns a clock that follows the clock of Redis until the runtime ends. It must be called within a
    /// tokio runtime.
    pub fn following(server: &Server) -> Self {
        let (clock, mut connection) = (Self::default(), server.shared());
        let estimate = clock.clone();
        let server = server.clone();
        tokio::spawn(async move {
            let (mut synced, mut outages) = (0, Outages::default());
            loop {
                let sent = uptime();
                let result = estimate.sync(&mut connection).await;
                log_outage(&mut outages, &server, sent, &result);
                synced += u32::from(result.is_ok());
                match result {
                    Err(_) => sleep(RETRY_DELAY).await,
                    Ok(()) if synced < INITIAL_SYNCS => {}
                    Ok(()) => sleep(SYNC_INTERVAL).await,
                }
            }
        });
        clock
    }

    /// Requests the time from Redis and applies the response. A script reads it: in a cluster it runs on the
    /// server whose clock recording uses, and a server that is loading its data rejects it.
    ///
    /// # Errors
    /// Returns an error if Redis fails; the estimate does not change.
    pub async fn sync(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        let sent = uptime();
        let (seconds, micros): (u64, u32) = TIME.key(KEY).invoke_async(connection).await?;
        let time = Duration::new(seconds, micros.saturating_mul(1000));
        if let Some(by) = self.apply_response(sent, uptime(), time) {
            tracing::warn!(
                "the clock of Redis was set by {by:+.1} s; no sample is deleted for a day"
            );
        }
        self.report();
        Ok(())
    }
}

/// Logs the start, continuation or end of an outage, given the result of a request sent at `sent`.
fn log_outage(outages: &mut Outages, server: &Server, sent: Duration, result: &RedisResult<()>) {
    let redis = server.redacted_url();
    match result {
        Ok(()) => {
            if let Some(Report::Ended(lasted)) = outages.record_success(uptime()) {
                tracing::info!(redis, lasted_s = seconds(lasted), "Redis is available again");
            }
        }
        Err(error) => match outages.record_failure(sent, uptime()) {
            Some(Report::Started) => {
                let advice = server.advice(error);
                tracing::warn!(redis, %error, advice, "Redis is unavailable");
            }
            Some(Report::Ongoing(lasted)) => {
                let (lasted_s, advice) = (seconds(lasted), server.advice(error));
                tracing::warn!(redis, lasted_s, %error, advice, "Redis is still unavailable");
            }
            _ => {}
        },
    }
}
