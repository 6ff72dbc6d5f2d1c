//! Sets the text of `cotiza --version`: the version, and the commit if it is known. The commit is that of the
//! environment (images are built without the Git history), otherwise that of the checkout.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=COTIZA_COMMIT");
    #[allow(clippy::disallowed_methods, reason = "the config module does not exist at build time")]
    let from_environment = env::var("COTIZA_COMMIT").ok().filter(|commit| !commit.is_empty());
    let version = env!("CARGO_PKG_VERSION");
    let text = match from_environment.or_else(checkout_commit) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=COTIZA_VERSION={text}");
}

/// Returns the commit of the Git checkout whose top folder is this one; `None` within another checkout.
fn checkout_commit() -> Option<String> {
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    // The log of HEAD changes with each commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
