//! Child processes, which are restarted when they end and stopped in order. Depends on `lines`.

use std::{
    collections::VecDeque,
    io::Write as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use backon::BackoffBuilder as _;
use futures_util::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::lines::with_name;
use crate::{backoff, config::LogFormat, telemetry::seconds};

/// After a child has run for this long, it is restarted without a longer delay.
const HEALTHY: Duration = Duration::from_secs(10);
/// The number of errors in a row after which a child that must start is not restarted any more.
const MAX_FAILED_STARTS: u32 = 3;
/// The number of lines of a child that are kept for its error message.
const LAST_LINES: usize = 3;

/// A named command that runs all the time.
pub(super) struct Child {
    name: String,
    command: Command,
    /// Whether the supervisor fails if the child does not start.
    must_start: bool,
    /// The last lines that it has printed.
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

/// When a child is stopped, in the order of the variants. Children with the same variant are stopped
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopOrder {
    /// It enqueues jobs.
    Scheduler,
    /// It runs jobs.
    Worker,
    /// It serves HTTP: the api or the simulated exchange.
    Server,
    /// All others depend on it.
    Redis,
}

/// The running children.
pub(super) struct Supervisor {
    format: LogFormat,
    running: Vec<(StopOrder, CancellationToken, JoinHandle<()>)>,
    /// The errors of children that did not start.
    start_failed: (UnboundedSender<String>, UnboundedReceiver<String>),
}

impl Child {
    /// Creates a child that is not started yet. Its standard input is a pipe that closes when this process
    /// ends, even if it is killed. It has its own process group, so that Ctrl-C in a terminal is sent only to
    /// this process, which then stops the children in order.
    pub(super) fn new(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Self { name: name.to_owned(), command, must_start: false, last_lines: Arc::default() }
    }

    /// Makes the supervisor fail if the child repeatedly ends with an error.
    pub(super) fn must_start(self) -> Self {
        Self { must_start: true, ..self }
    }

    /// Runs the child and restarts it whenever it ends, until `stop`.
    async fn keep_running(
        mut self,
        format: LogFormat,
        stop: CancellationToken,
        start_failed: UnboundedSender<String>,
    ) {
        let new_delays =
            || backoff::exponential(Duration::from_millis(100), Duration::from_secs(5)).build();
        let (mut delays, mut failed_starts) = (new_delays(), 0);
        loop {
            let started = Instant::now();
            let ended = self.run_once(format, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            if started.elapsed() > HEALTHY {
                (delays, failed_starts) = (new_delays(), 0);
            }
            // Exit code 0 and signals do not count as failed starts.
            let code = ended.as_ref().ok().and_then(ExitStatus::code);
            failed_starts = if matches!(code, Some(1..)) { failed_starts + 1 } else { 0 };
            let ended =
                ended.map_or_else(|error| format!("{error:#}"), |status| status.to_string());
            if self.must_start && failed_starts == MAX_FAILED_STARTS {
                let lines = self.last_lines.lock();
                let printed: Vec<&str> = lines.iter().map(String::as_str).collect();
                let (name, printed) = (&self.name, printed.join(" | "));
                // An error means that all children are being stopped.
                let _ignored =
                    start_failed.send(format!("{name} does not start ({ended}): {printed}"));
                return;
            }
            let delay = delays.next().unwrap_or_default();
            let delay_s = seconds(delay);
            let child = &self.name;
            tracing::warn!(child, delay_s, "child process is not running ({ended}); restarting it");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Runs the child until it ends. Stops it on `stop`.
    async fn run_once(
        &mut self,
        format: LogFormat,
        stop: &CancellationToken,
    ) -> anyhow::Result<ExitStatus> {
        let mut process = self.command.spawn().context("cannot start")?;
        // `wait` would close the standard input if it still belonged to `process`.
        let _stdin = process.stdin.take();
        if let Some(lines) = process.stdout.take() {
            tokio::spawn(forward(self.name.clone(), format, lines, Arc::clone(&self.last_lines)));
        }
        if let Some(lines) = process.stderr.take() {
            tokio::spawn(forward(self.name.clone(), format, lines, Arc::clone(&self.last_lines)));
        }
        tokio::select! {
            ended = process.wait() => {
                return ended.context("cannot wait for it");
            }
            () = stop.cancelled() => {}
        }
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill(pid, Signal::SIGTERM)
        {
            tracing::warn!(child = self.name, %error, "cannot send SIGTERM to a child process");
        }
        process.wait().await.context("cannot wait for it")
    }
}

impl Supervisor {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, running: Vec::new(), start_failed: unbounded_channel() }
    }

    pub(super) fn start(&mut self, stop_order: StopOrder, child: Child) {
        let stop = CancellationToken::new();
        let running = tokio::spawn(child.keep_running(
            self.format,
            stop.clone(),
            self.start_failed.0.clone(),
        ));
        self.running.push((stop_order, stop, running));
    }

    /// Waits until a child that must start has failed to. Returns the error.
    pub(super) async fn start_failed(&mut self) -> String {
        self.start_failed.1.recv().await.unwrap_or_default()
    }

    /// Stops the children in their order. A child that does not end within `limit` is killed.
    pub(super) async fn stop(mut self, limit: Duration) {
        self.running.sort_by_key(|(stop_order, ..)| *stop_order);
        for group in self.running.chunk_by_mut(|(a, ..), (b, ..)| a == b) {
            let ended = group.iter_mut().map(|(_, stop, running)| {
                stop.cancel();
                async move {
                    if timeout(limit, &mut *running).await.is_err() {
                        running.abort(); // Drops the process, which kills it.
                    }
                }
            });
            join_all(ended).await;
        }
    }
}

/// Copies the lines of a child to standard error, with its name, until it closes its output.
async fn forward(
    name: String,
    format: LogFormat,
    lines: impl AsyncRead + Unpin,
    last: Arc<Mutex<VecDeque<String>>>,
) {
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let named = with_name(&name, format, text.trim_end());
        {
            let mut last = last.lock();
            last.push_back(text.trim_end().to_owned());
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
        // Without a reader of standard error, the line is lost.
        let _ignored = writeln!(std::io::stderr(), "{named}");
        line.clear();
    }
}
