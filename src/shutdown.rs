//! When a process is asked to stop. Depends on nothing.

use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled on SIGTERM, on SIGINT (Ctrl-C) and, in a child of `cotiza up`, when
/// the parent is gone: its end of our standard input closes, however it ended.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn token(supervised: bool) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("asked to stop by SIGTERM"),
            _ = interrupt.recv() => tracing::info!("asked to stop by SIGINT"),
            () = parent_gone(), if supervised => tracing::warn!("the parent process is gone: stopping"),
        }
        cancelled.cancel();
    });
    Ok(token)
}

async fn parent_gone() {
    let mut nothing = [0; 64];
    let mut stdin = tokio::io::stdin();
    while let Ok(1..) = stdin.read(&mut nothing).await {}
}
