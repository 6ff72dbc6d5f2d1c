//! When a connection is not used any more. This is the only place that decides it. Depends on nothing of
//! the crate.
//!
//! A connection is unfit when
//! - it is closed, or a request has no answer within [`ANSWER_TIMEOUT`]
//! - the server is a replica or has no primary (READONLY, MASTERDOWN, UNBLOCKED): it was demoted
//! - the server wants another password (NOAUTH, WRONGPASS)
//! - the server is loading its data for longer than [`LOADING_PROBES`] probes
//! - the Sentinels name another primary
//! - the client of a cluster finds no node that takes the request
//!
//! Each connection is probed once a second, so that this is noticed also while nothing is asked. Keepalive
//! and user timeout of TCP (see `server`) end connections whose packets are lost.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Link, Server};

/// The longest that Redis may take to answer. redis-rs's own 500 ms is too short for a server that is
/// loading or saving.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The probes in a row that a server may answer with LOADING; after that another one may be in its place.
const LOADING_PROBES: u32 = 5;

/// Whether Redis refuses writes, as the last probe of this process has found.
static REFUSES_WRITES: AtomicBool = AtomicBool::new(false);

/// The number of connections of this process that were replaced.
static RECONNECTS: AtomicU64 = AtomicU64::new(0);

/// How many connections of this process were found unfit.
pub fn reconnects() -> u64 {
    RECONNECTS.load(Ordering::Relaxed)
}

/// Whether an answer says that the connection is unfit.
pub(super) fn makes_unfit(answer: Result<&Value, &RedisError>) -> bool {
    match answer {
        Ok(Value::ServerError(error)) => is_unfit_code(error.code()),
        Ok(Value::Array(values)) => values
            .iter()
            .any(|value| matches!(value, Value::ServerError(error) if is_unfit_code(error.code()))),
        Ok(_) => false,
        Err(error) => {
            error.is_connection_dropped()
                || error.is_timeout()
                || error.code().is_some_and(is_unfit_code)
                // What the client of a cluster says when it has tried all that it knows.
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

/// Takes a connection out of use.
pub(super) fn give_up(unfit: &CancellationToken, reason: Option<&RedisError>) {
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
pub(super) async fn watch(
    mut link: Link,
    address: String,
    server: Server,
    unfit: CancellationToken,
) {
    let mut loading = 0;
    loop {
        tokio::select! {
            () = unfit.cancelled() => return,
            () = sleep(PROBE_EVERY) => {}
        }
        let probed = tokio::select! {
            () = unfit.cancelled() => return,
            probed = timeout(ANSWER_TIMEOUT, probe(&mut link)) => probed,
        };
        let Ok(probed) = probed else { return give_up(&unfit, None) };
        let error = probed.err();
        log_refusal(error.as_ref());
        let is_loading = error.as_ref().and_then(RedisError::code) == Some("LOADING");
        loading = if is_loading { loading + 1 } else { 0 };
        let is_unfit = error.as_ref().is_some_and(|error| makes_unfit(Err(error)));
        if is_unfit || loading > LOADING_PROBES || server.has_moved(&address).await {
            return give_up(&unfit, error.as_ref());
        }
    }
}

/// Logs when Redis begins and ends to refuse writes, once for the whole process: other log lines about it are
/// for debugging.
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

/// Whether a primary refuses writes: too few replicas are connected, or it cannot save its data.
pub(super) fn refuses_writes(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOREPLICAS" | "MISCONF"))
}

/// Sends a command that only a primary carries out and that changes nothing: the keys do not exist.
async fn probe(link: &mut Link) -> RedisResult<()> {
    for key in link.probes() {
        let mut delete = redis::cmd("DEL");
        delete.arg(key);
        match link.req_packed_command(&delete).await?.extract_error() {
            // The user has no permission for this key; the connection is fine.
            Err(error) if error.code() == Some("NOPERM") => {}
            answer => drop(answer?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_demoted_server_or_a_refused_user_makes_a_connection_unfit() {
        for code in ["READONLY", "MASTERDOWN", "UNBLOCKED", "NOAUTH", "WRONGPASS"] {
            assert!(makes_unfit(Ok(&answer(&format!("-{code} x\r\n")))), "{code}");
            let error = answer(&format!("-{code} x\r\n")).extract_error().unwrap_err();
            assert!(makes_unfit(Err(&error)), "{code}");
        }
        assert!(makes_unfit(Ok(&answer("*2\r\n+OK\r\n-READONLY x\r\n"))));
        for code in ["OOM", "LOADING", "BUSY", "NOPERM", "NOREPLICAS", "MISCONF", "ERR"] {
            assert!(!makes_unfit(Ok(&answer(&format!("-{code} x\r\n")))), "{code}");
        }
        assert!(!makes_unfit(Ok(&answer("+OK\r\n"))));
    }

    #[test]
    fn a_closed_or_silent_connection_is_unfit() {
        for kind in [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::TimedOut] {
            assert!(makes_unfit(Err(&std::io::Error::from(kind).into())), "{kind}");
        }
    }
}
