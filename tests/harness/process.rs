//! The real binary as a child process of the test.

use std::{
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{SOON, eventually, source::is_in_source};

/// A running `cotiza`, which is killed when it is dropped.
pub struct Cotiza {
    child: Child,
    pid: Pid,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The exit code and the output of a command that has ended.
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    command_after("exec", arguments, environment)
}

/// Returns the command, run by a shell after `prefix`.
fn command_after(prefix: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    // If the tests run under nohup, their children would ignore SIGHUP too.
    let script = format!("{prefix} env --default-signal=HUP \"$@\"");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_cotiza")])
        .args(arguments)
        .env_clear()
        .env("PATH", std::option_env!("PATH").unwrap_or_default())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command and waits until it ends.
pub async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let child = command(arguments, environment).spawn().expect("the binary");
    let output = timeout(SOON, child.wait_with_output()).await.expect("it ends").expect("waited");
    Output {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

impl Cotiza {
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run(command(arguments, environment))
    }

    /// Starts a process that may open at most `files` files.
    pub fn with_files(files: u32, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let prefix = format!("ulimit -n {files}; exec");
        Self::run(command_after(&prefix, arguments, environment))
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary");
        let pid = Pid::from_raw(child.id().expect("running").cast_signed());
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("piped"), Arc::clone(&lines));
        collect(child.stderr.take().expect("piped"), Arc::clone(&lines));
        Self { child, pid, lines }
    }

    /// Returns all lines printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }

    /// Checks that no line printed so far contains a text of a log message. The text must occur in the source
    /// code: otherwise this check could never fail.
    pub fn check_never_logged(&self, text: &str) {
        assert!(is_in_source(text), "no message contains {text:?}: adapt this test");
        let lines = self.lines();
        assert!(!lines.iter().any(|line| line.contains(text)), "{text:?} in {lines:#?}");
    }

    /// Waits for a line that contains the text and returns it.
    pub async fn wait_for_line(&self, text: &str) -> String {
        let find = || self.lines().into_iter().find(|line| line.contains(text));
        eventually(SOON, &format!("a line with {text:?}"), || async { find().is_some() }).await;
        find().expect("the line that was just found")
    }

    pub fn id(&self) -> Pid {
        self.pid
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("it is running");
    }

    /// Waits until the process ends.
    pub async fn wait_for_exit(mut self) -> ExitStatus {
        timeout(SOON, self.child.wait()).await.expect("it ends").expect("waited")
    }

    /// Sends the signal and waits until the process ends; fails the test after `limit`.
    pub async fn end(mut self, signal: Signal, limit: Duration) -> ExitStatus {
        self.signal(signal);
        let Ok(ended) = timeout(limit, self.child.wait()).await else {
            let lines = self.lines();
            let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            panic!(
                "the process did not end within {limit:?}; its last lines:\n{}",
                last.join("\n")
            );
        };
        ended.expect("waited")
    }
}

fn collect(from: impl AsyncRead + Unpin + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().expect("no panic").push(line);
        }
    });
}
