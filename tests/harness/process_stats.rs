//! Memory and open files of a process, and the settings that make passes to a test.

use nix::unistd::Pid;

/// Returns the resident memory of a process in kilobytes; 0 if the process does not exist.
pub fn resident_kb(process: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Returns the number of files that a process has open; 0 if the process does not exist.
pub fn open_files(process: Pid) -> u64 {
    let files = std::fs::read_dir(format!("/proc/{process}/fd"));
    files.map_or(0, |files| files.count() as u64)
}

/// Returns a number from an environment variable; `None` if it is not set or not a number.
pub fn env_number(name: &str) -> Option<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "make passes settings to tests in the environment"
    )]
    std::env::var(name).ok()?.parse().ok()
}
