//! Child processes that are started again when they die and are stopped in order.

use std::{
    collections::VecDeque,
    io::Write as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
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

use super::lines::named;
use crate::{config::LogFormat, telemetry::seconds};

/// A child that ran this long before it died is started again at once.
const HEALTHY: Duration = Duration::from_secs(10);
/// A child that must start is given up when it has ended with an error so many times in a row.
const REFUSALS: u32 = 3;
/// The lines of a child that are kept.
const LAST_LINES: usize = 3;

/// A named command that is to run all the time.
pub(super) struct Child {
    name: String,
    command: Command,
    /// Whether it is given up when it refuses to start.
    must_start: bool,
    /// What it has printed last.
    last_lines: Arc<Mutex<VecDeque<String>>>,
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
    /// What those that were given up have said.
    given_up: (UnboundedSender<String>, UnboundedReceiver<String>),
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
        Self { name: name.to_owned(), command, must_start: false, last_lines: Arc::default() }
    }

    /// It is given up when it ends with an error some times in a row.
    pub(super) fn must_start(self) -> Self {
        Self { must_start: true, ..self }
    }

    /// Runs it, again and again, until told to stop.
    async fn keep_running(
        mut self,
        format: LogFormat,
        stop: CancellationToken,
        given_up: UnboundedSender<String>,
    ) {
        let (mut delays, mut refusals) = (backoff(), 0);
        loop {
            let started = Instant::now();
            let ended = self.run_once(format, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            if started.elapsed() > HEALTHY {
                (delays, refusals) = (backoff(), 0);
            }
            // An exit with 0, or by a signal, is not a failure to start.
            let code = ended.as_ref().ok().and_then(ExitStatus::code);
            refusals = if matches!(code, Some(1..)) { refusals + 1 } else { 0 };
            let ended = ended.map_or_else(|error| error, |status| status.to_string());
            if self.must_start && refusals == REFUSALS {
                let lines = self.last_lines.lock();
                let said: Vec<&str> = lines.iter().map(String::as_str).collect();
                let (name, said) = (&self.name, said.join(" | "));
                // An error means that all children are being stopped.
                let _unheard = given_up.send(format!("{name} does not start ({ended}): {said}"));
                return;
            }
            let delay = delays.next().unwrap_or_default();
            let delay_s = seconds(delay);
            tracing::warn!(child = self.name, delay_s, "{ended}; starting it again");
            tokio::select! {
                () = sleep(delay) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn run_once(
        &mut self,
        format: LogFormat,
        stop: &CancellationToken,
    ) -> Result<ExitStatus, String> {
        let mut process = match self.command.spawn() {
            Ok(process) => process,
            Err(error) => return Err(format!("cannot start: {error}")),
        };
        // Waiting for a child closes its standard input unless somebody else holds it.
        let _lifeline = process.stdin.take();
        if let Some(lines) = process.stdout.take() {
            tokio::spawn(forward(self.name.clone(), format, lines, Arc::clone(&self.last_lines)));
        }
        if let Some(lines) = process.stderr.take() {
            tokio::spawn(forward(self.name.clone(), format, lines, Arc::clone(&self.last_lines)));
        }
        tokio::select! {
            ended = process.wait() => {
                return ended.map_err(|error| error.to_string());
            }
            () = stop.cancelled() => {}
        }
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill(pid, Signal::SIGTERM)
        {
            tracing::warn!(child = self.name, %error, "cannot ask it to stop");
        }
        process.wait().await.map_err(|error| error.to_string())
    }
}

impl Family {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, running: Vec::new(), given_up: unbounded_channel() }
    }

    pub(super) fn start(&mut self, rank: Rank, child: Child) {
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(child.keep_running(self.format, stop.clone(), self.given_up.0.clone()));
        self.running.push((rank, stop, running));
    }

    /// Waits until a child is given up; gives why.
    pub(super) async fn given_up(&mut self) -> String {
        self.given_up.1.recv().await.unwrap_or_default()
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
        let named = named(&name, format, text.trim_end());
        {
            let mut last = last.lock();
            last.push_back(text.trim_end().to_owned());
            if last.len() > LAST_LINES {
                last.pop_front();
            }
        }
        // Nobody reads our own log any more: nothing is left to be done about it.
        let _unread = writeln!(std::io::stderr(), "{named}");
        line.clear();
    }
}
