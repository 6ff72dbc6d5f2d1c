//! What the kernel knows of a process, and what make hands to a test.

use nix::unistd::Pid;

/// The resident memory of a process, in kilobytes; 0 if it is gone.
pub fn resident(process: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The files that a process has open; 0 if it is gone.
pub fn open_files(process: Pid) -> u64 {
    let files = std::fs::read_dir(format!("/proc/{process}/fd"));
    files.map_or(0, |files| files.count() as u64)
}

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "how make hands settings to a test")]
    std::env::var(name).ok()?.parse().ok()
}
