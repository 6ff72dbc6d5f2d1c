//! Logging: what is written, and in which form. Depends on the configuration.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{Log, LogFormat};

/// Sends log lines to standard error.
///
/// apalis is kept silent: what it reports comes back as errors, which are logged where they
/// are handled.
///
/// # Errors
/// If the level cannot be read.
pub fn init(log: &Log) -> Result<(), ParseError> {
    let filter =
        EnvFilter::try_new(format!("apalis_core=off,apalis_redis=off,poem=warn,{}", log.level))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Its complaint about a standard error that nobody reads would itself go there, and panic.
        .log_internal_errors(false)
        .with_target(false);
    match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
