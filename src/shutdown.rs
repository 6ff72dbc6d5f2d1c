//! The detection of requests to stop a process. Depends on nothing.

use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled on SIGTERM, SIGINT (Ctrl-C), SIGHUP (a closed terminal) and, in a child
/// of `cotiza up`, when the parent process ends, because that closes the standard input of the child. After a
/// second signal the process exits immediately.
///
/// # Errors
/// Returns an error if signal handlers cannot be installed.
pub fn token(supervised: bool) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?,
    };
    let cancelled = token.clone();
    tokio::spawn(async move {
        let cause = tokio::select! {
            cause = signals.next() => cause,
            () = parent_ended(), if supervised => "the end of the parent process",
        };
        // Log before the cancellation, because the process may end right after it.
        tracing::info!("stopping: requested by {cause}");
        cancelled.cancel();
        let cause = signals.next().await;
        tracing::warn!("exiting immediately: received {cause} while stopping");
        #[allow(clippy::exit, reason = "a second signal skips the orderly shutdown")]
        std::process::exit(1);
    });
    Ok(token)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` under nohup, where the process must outlive the terminal.
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(()) = async { self.hangup.as_mut()?.recv().await } => "SIGHUP",
        }
    }
}

/// Waits until standard input is closed.
async fn parent_ended() {
    let mut discarded = [0; 64];
    let mut stdin = tokio::io::stdin();
    while let Ok(1..) = stdin.read(&mut discarded).await {}
}

/// Returns whether this process was started with SIGHUP ignored. On Linux it is the lowest bit of `SigIgn`.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & 1 == 1)
    })
}
