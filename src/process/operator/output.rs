//! The output of the commands: tables for people, JSON for programs. Depends on `exchange`, which escapes
//! texts.

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

/// Prints a response of the API as the same JSON that the API returns.
pub(super) fn print_json(response: &impl ToJSON) -> anyhow::Result<()> {
    let value = response.to_json().unwrap_or_default();
    print(&serde_json::to_string_pretty(&value)?)
}

/// Prints the result of an action as a sentence or as JSON.
pub(super) fn print_done(json: bool, text: &str, done: &Value) -> anyhow::Result<()> {
    if json { print(&serde_json::to_string_pretty(done)?) } else { print(text) }
}

/// Prints a text to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(stdout(), "{}", text.trim_end()).context("cannot write to standard output")
}

/// Returns a table without borders.
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

/// The maximum number of characters in a cell of a table.
const MAX_CELL: usize = 300;

/// Returns an external text without control characters for terminals, shortened to [`MAX_CELL`] characters.
pub(super) fn printable(text: &str) -> String {
    let mut safe: String = text.chars().take(MAX_CELL).collect();
    if safe.len() < text.len() {
        safe.push_str("...");
    }
    escaped(&safe)
}

/// Formats a time in unix seconds as UTC.
pub(super) fn moment(second: i64) -> String {
    let time = DateTime::from_timestamp(second, 0);
    time.map_or_else(|| second.to_string(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Formats a time in unix seconds with a fraction as UTC; without a time, returns [`empty_cell`].
#[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
pub(super) fn optional_moment(second: Option<f64>) -> String {
    second.map_or_else(empty_cell, |second| moment(second as i64))
}

/// Formats a duration: in days from two days on, otherwise to the second.
pub(super) fn duration_text(seconds: i64) -> String {
    if seconds >= 2 * 24 * 3600 {
        return format!("{} days", seconds / (24 * 3600));
    }
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    humantime::format_duration(seconds).to_string()
}

/// Returns the text of a cell without a value.
pub(super) fn empty_cell() -> String {
    "-".to_owned()
}

/// Formats a number of bytes with a unit.
pub(super) fn bytes(count: u64) -> String {
    bytesize::ByteSize(count).display().si().to_string()
}
