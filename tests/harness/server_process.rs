//! A server that is killed when this process ends, even if this process is killed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A running server. A shell kills it when the standard input of the shell is closed.
pub struct ServerProcess {
    shell: Child,
    pid: Pid,
}

impl ServerProcess {
    /// Starts a program and writes its output to the file `log`.
    pub fn start(words: &[String], environment: &[(&'static str, String)], log: &Path) -> Self {
        let script = "log=$1; shift; env \"$@\" >\"$log\" 2>&1 & \
                      echo $!; exec >/dev/null; read _; kill -9 $! 2>/dev/null";
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(log)
            .args(environment.iter().map(|(name, value)| format!("{name}={value}")))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut pid = String::new();
        let mut output = BufReader::new(shell.stdout.take().expect("piped"));
        output.read_line(&mut pid).expect("the pid");
        Self { shell, pid: Pid::from_raw(pid.trim().parse().expect("a number")) }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("it is running");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}
