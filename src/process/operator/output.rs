//! How commands show what they found: tables for people, JSON for programs.

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::Context as _;
use chrono::DateTime;
use comfy_table::{Table, presets};
use poem_openapi::types::ToJSON;
use serde_json::Value;

use crate::exchange::escaped;

/// Prints an answer of the API as JSON, as the API gives it.
pub(super) fn print_json(answer: &impl ToJSON) -> anyhow::Result<()> {
    let value = answer.to_json().unwrap_or_default();
    print(&serde_json::to_string_pretty(&value)?)
}

/// Prints what was done: as a sentence, or as JSON.
pub(super) fn print_done(json: bool, text: &str, done: &Value) -> anyhow::Result<()> {
    if json { print(&serde_json::to_string_pretty(done)?) } else { print(text) }
}

/// Prints a text.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(stdout(), "{}", text.trim_end()).context("cannot write to standard output")
}

/// A table without lines.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    table.add_rows(
        rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>()),
    );
    let text = table.to_string();
    let lines: Vec<&str> =
        text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n")
}

/// The longest text in a cell of a table.
const LONGEST: usize = 300;

/// A text of others without what a terminal would obey, and not longer than people read.
pub(super) fn printable(text: &str) -> String {
    let mut safe: String = text.chars().take(LONGEST).collect();
    if safe.len() < text.len() {
        safe.push_str("...");
    }
    escaped(&safe)
}

/// A moment in unix seconds, in UTC.
pub(super) fn moment(second: i64) -> String {
    let time = DateTime::from_timestamp(second, 0);
    time.map_or_else(|| second.to_string(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The same of a moment with a fraction.
#[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
pub(super) fn moment_of(second: Option<f64>) -> String {
    second.map_or_else(nothing, |second| moment(second as i64))
}

/// A length of time: in days if it has several, else to the second.
pub(super) fn lasting(seconds: i64) -> String {
    if seconds >= 2 * 24 * 3600 {
        return format!("{} days", seconds / (24 * 3600));
    }
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    humantime::format_duration(seconds).to_string()
}

/// The text of a cell without a value.
pub(super) fn nothing() -> String {
    "-".to_owned()
}

/// Bytes in units that people read.
pub(super) fn bytes(count: u64) -> String {
    bytesize::ByteSize(count).display().si().to_string()
}
