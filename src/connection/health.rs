//! Decides when a connection is unfit, which means that it is no longer used. No other module decides that.
//! Depends on no other module.
//!
//! A connection is unfit when
//! - it is closed, or a request gets no response within [`RESPONSE_TIMEOUT`]
//! - the server was demoted: it is a replica or has no primary (READONLY, MASTERDOWN, UNBLOCKED)
//! - the server requires another password (NOAUTH, WRONGPASS)
//! - the server is still loading its data after [`LOADING_PROBES`] probes
//! - the Sentinels report another primary
//! - the cluster client finds no node that accepts the request
//!
//! Each connection is probed once a second, so that this is detected even without requests. TCP keepalive and
//! the TCP user timeout (see `node`) close connections whose packets are lost.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Link, Server};

/// The time limit of a response of Redis. The default of redis-rs, 500 ms, is too short for a server that is
/// loading or saving its data.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How many consecutive probes may get LOADING. After that another server may have replaced this one.
const LOADING_PROBES: u32 = 5;

/// Whether Redis refused writes at the last probe of this process.
static REFUSES_WRITES: AtomicBool = AtomicBool::new(false);

/// The number of connections of this process that were replaced.
static RECONNECTS: AtomicU64 = AtomicU64::new(0);

/// Returns how many connections of this process were found unfit.
pub fn reconnects() -> u64 {
    RECONNECTS.load(Ordering::Relaxed)
}

/// Returns whether a response means that the connection is unfit.
pub(super) fn makes_unfit(response: Result<&Value, &RedisError>) -> bool {
    match response {
        Ok(Value::ServerError(error)) => is_unfit_code(error.code()),
        Ok(Value::Array(values)) => values
            .iter()
            .any(|value| matches!(value, Value::ServerError(error) if is_unfit_code(error.code()))),
        Ok(_) => false,
        Err(error) => {
            error.is_connection_dropped()
                || error.is_timeout()
                || error.code().is_some_and(is_unfit_code)
                // The cluster client returns these after it has tried all known nodes.
                || matches!(
                    error.kind(),
                    ErrorKind::AuthenticationFailed
                        | ErrorKind::ClusterConnectionNotFound
                        | ErrorKind::Server(ServerErrorKind::Moved)
                )
        }
    }
}

fn is_unfit_code(code: &str) -> bool {
    matches!(code, "READONLY" | "MASTERDOWN" | "UNBLOCKED" | "NOAUTH" | "WRONGPASS")
}

/// Marks a connection as unfit.
pub(super) fn mark_unfit(unfit: &CancellationToken, reason: Option<&RedisError>) {
    if !unfit.is_cancelled() {
        RECONNECTS.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            reason = reason.map(tracing::field::display),
            "a connection to Redis is unfit"
        );
        unfit.cancel();
    }
}

/// Probes a connection until it is unfit or dropped.
pub(super) async fn monitor(
    mut link: Link,
    address: String,
    server: Server,
    unfit: CancellationToken,
) {
    let mut loading = 0;
    loop {
        tokio::select! {
            () = unfit.cancelled() => return,
            () = sleep(PROBE_INTERVAL) => {}
        }
        let result = tokio::select! {
            () = unfit.cancelled() => return,
            result = timeout(RESPONSE_TIMEOUT, probe(&mut link)) => result,
        };
        let Ok(result) = result else { return mark_unfit(&unfit, None) };
        let error = result.err();
        log_refusal(error.as_ref());
        let is_loading = error.as_ref().and_then(RedisError::code) == Some("LOADING");
        loading = if is_loading { loading + 1 } else { 0 };
        let is_unfit = error.as_ref().is_some_and(|error| makes_unfit(Err(error)));
        if is_unfit || loading > LOADING_PROBES || server.has_moved(&address).await {
            return mark_unfit(&unfit, error.as_ref());
        }
    }
}

/// Logs when Redis starts and stops refusing writes, once per process; other log lines about it have the
/// level debug.
fn log_refusal(error: Option<&RedisError>) {
    match error {
        Some(error) if refuses_writes(error) => {
            if !REFUSES_WRITES.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "Redis refuses writes, so nothing is recorded");
            }
        }
        Some(_) => {}
        None => {
            if REFUSES_WRITES.swap(false, Ordering::Relaxed) {
                tracing::info!("Redis accepts writes again");
            }
        }
    }
}

/// Returns whether a primary refuses writes, because too few replicas are connected or it cannot save its
/// data.
pub(super) fn refuses_writes(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOREPLICAS" | "MISCONF"))
}

/// Sends a command that only a primary executes and that changes nothing, because the keys do not exist.
async fn probe(link: &mut Link) -> RedisResult<()> {
    for key in link.probes() {
        let mut delete = redis::cmd("DEL");
        delete.arg(key);
        match link.req_packed_command(&delete).await?.extract_error() {
            // The user has no permission for this key, but the connection works.
            Err(error) if error.code() == Some("NOPERM") => {}
            response => drop(response?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_demoted_server_or_a_rejected_user_makes_a_connection_unfit() {
        for code in ["READONLY", "MASTERDOWN", "UNBLOCKED", "NOAUTH", "WRONGPASS"] {
            assert!(makes_unfit(Ok(&response(&format!("-{code} x\r\n")))), "{code}");
            let error = response(&format!("-{code} x\r\n")).extract_error().unwrap_err();
            assert!(makes_unfit(Err(&error)), "{code}");
        }
        assert!(makes_unfit(Ok(&response("*2\r\n+OK\r\n-READONLY x\r\n"))));
        for code in ["OOM", "LOADING", "BUSY", "NOPERM", "NOREPLICAS", "MISCONF", "ERR"] {
            assert!(!makes_unfit(Ok(&response(&format!("-{code} x\r\n")))), "{code}");
        }
        assert!(!makes_unfit(Ok(&response("+OK\r\n"))));
    }

    #[test]
    fn a_closed_or_silent_connection_is_unfit() {
        for kind in [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::TimedOut] {
            assert!(makes_unfit(Err(&std::io::Error::from(kind).into())), "{kind}");
        }
    }
}
