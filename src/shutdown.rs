//! When a process is asked to stop. Depends on nothing.

use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled on SIGTERM, SIGINT (Ctrl-C), SIGHUP (a closed terminal) and, in a
/// child of `cotiza up`, when the parent is gone: its end of our standard input closes, however
/// it ended. Whoever asks a second time does not want to wait: the process ends at once.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn token(supervised: bool) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut asked = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?,
    };
    let cancelled = token.clone();
    tokio::spawn(async move {
        let by = tokio::select! {
            by = asked.next() => by,
            () = parent_gone(), if supervised => "the end of the parent process",
        };
        // First: the process may be gone a moment after it is cancelled.
        tracing::info!("asked to stop by {by}");
        cancelled.cancel();
        let by = asked.next().await;
        tracing::warn!("asked again by {by}: ending at once");
        #[allow(clippy::exit, reason = "the orderly way out has been given up")]
        std::process::exit(1);
    });
    Ok(token)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None under nohup, which means to outlive the terminal.
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

async fn parent_gone() {
    let mut nothing = [0; 64];
    let mut stdin = tokio::io::stdin();
    while let Ok(1..) = stdin.read(&mut nothing).await {}
}

/// Whether we were started with SIGHUP ignored. Linux says so in the lowest bit of `SigIgn`.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & 1 == 1)
    })
}
