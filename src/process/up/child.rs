//! Child processes that are started again when they die and are stopped in order.

use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::config::LogFormat;

/// A child that ran this long before it died is started again at once.
const HEALTHY: Duration = Duration::from_secs(10);

/// A named command that is to run all the time.
pub(super) struct Child {
    name: String,
    command: Command,
}

/// When a child is stopped; those of one rank together, the first rank first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Who makes work.
    Scheduler,
    /// Who does it.
    Worker,
    /// Who answers.
    Server,
    /// What all of them stand on.
    Redis,
}

/// The running children.
pub(super) struct Family {
    format: LogFormat,
    running: Vec<(Rank, CancellationToken, JoinHandle<()>)>,
}

impl Child {
    /// Its standard input is a pipe that we hold: it closes when we are gone, however we end. It
    /// gets a process group of its own, so that Ctrl-C in a terminal reaches us alone and we
    /// choose the order in which the children stop.
    pub(super) fn new(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Self { name: name.to_owned(), command }
    }

    /// Runs it, again and again, until told to stop.
    async fn keep_running(mut self, format: LogFormat, stop: CancellationToken) {
        let mut delays = backoff();
        loop {
            let started = Instant::now();
            let ended = self.run_once(format, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            if started.elapsed() > HEALTHY {
                delays = backoff();
            }
            let delay = delays.next().unwrap_or_default();
            tracing::warn!(child = self.name, "{ended}; starting it again in {delay:.1?}");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn run_once(&mut self, format: LogFormat, stop: &CancellationToken) -> String {
        let mut process = match self.command.spawn() {
            Ok(process) => process,
            Err(error) => return format!("cannot start: {error}"),
        };
        // Waiting for a child closes its standard input unless somebody else holds it.
        let _lifeline = process.stdin.take();
        if let Some(lines) = process.stdout.take() {
            tokio::spawn(forward(self.name.clone(), format, lines));
        }
        if let Some(lines) = process.stderr.take() {
            tokio::spawn(forward(self.name.clone(), format, lines));
        }
        tokio::select! {
            ended = process.wait() => {
                return ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            }
            () = stop.cancelled() => {}
        }
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill(pid, Signal::SIGTERM)
        {
            tracing::warn!(child = self.name, %error, "cannot ask it to stop");
        }
        let ended = process.wait().await;
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Family {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, running: Vec::new() }
    }

    pub(super) fn start(&mut self, rank: Rank, child: Child) {
        let stop = CancellationToken::new();
        let running = tokio::spawn(child.keep_running(self.format, stop.clone()));
        self.running.push((rank, stop, running));
    }

    /// Stops the children, one rank after the other; each has `limit` to end by itself, then it
    /// is killed.
    pub(super) async fn stop(mut self, limit: Duration) {
        self.running.sort_by_key(|(rank, ..)| *rank);
        for rank in self.running.chunk_by_mut(|(one, ..), (other, ..)| one == other) {
            let ended = rank.iter_mut().map(|(_, stop, running)| {
                stop.cancel();
                async move {
                    if timeout(limit, &mut *running).await.is_err() {
                        running.abort(); // drops the process, which kills it
                    }
                }
            });
            join_all(ended).await;
        }
    }
}

/// 100 ms at first, 5 s later on, without end.
fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .build()
}

/// Repeats a child's lines under its name, until it closes its end.
async fn forward(name: String, format: LogFormat, lines: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let named = named(&name, format, text.trim_end());
        // Nobody reads our own log any more: nothing is left to be done about it.
        let _unread = writeln!(std::io::stderr(), "{named}");
        line.clear();
    }
}

fn named(name: &str, format: LogFormat, line: &str) -> String {
    match format {
        LogFormat::Text => format!("{name:<9} | {line}"),
        LogFormat::Json => {
            let mut line = match serde_json::from_str(line) {
                Ok(Value::Object(fields)) => Value::Object(fields),
                _ => json!({ "message": line }),
            };
            if let Some(fields) = line.as_object_mut() {
                fields.insert("process".to_owned(), name.into());
            }
            line.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_the_name_of_its_process() {
        assert_eq!(named("api", LogFormat::Text, "hello"), "api       | hello");
        let json = named("api", LogFormat::Json, r#"{"level":"INFO"}"#);
        assert_eq!(json, r#"{"level":"INFO","process":"api"}"#);
        let plain = named("redis", LogFormat::Json, "Ready");
        assert_eq!(plain, r#"{"message":"Ready","process":"redis"}"#);
    }
}
