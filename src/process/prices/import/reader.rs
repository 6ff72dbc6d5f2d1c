//! Reads samples line by line: CSV with the header `timestamp,price`, or NDJSON with these names; `source`
//! may stand beside them.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, BufReader},
};

use anyhow::bail;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{Observation, Provenance, Sample, UnixTime, is_source_name};

/// What spreadsheets on Windows put first.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The samples of a file, or what is wrong with a line, or an error of the file itself.
pub(super) struct Reader<'a> {
    input: BufReader<&'a mut File>,
    format: Format,
    line: Vec<u8>,
    number: u64,
}

enum Format {
    /// The columns of the timestamp, of the price, and of the source if there is one.
    Csv(usize, usize, Option<usize>),
    Ndjson,
}

/// A line that holds no sample.
pub(super) struct BadLine {
    pub(super) number: u64,
    pub(super) reason: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(default)]
    source: Option<String>,
}

impl<'a> Reader<'a> {
    /// Sees from its first line which of the two the file is.
    pub(super) fn new(file: &'a mut File) -> anyhow::Result<Self> {
        let mut input = BufReader::with_capacity(1 << 16, file);
        if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let mut reader = Self { input, format: Format::Ndjson, line: Vec::new(), number: 0 };
        if reader.input.fill_buf()?.trim_ascii_start().starts_with(b"{") {
            return Ok(reader);
        }
        reader.next_line()?;
        let header = String::from_utf8_lossy(&reader.line).into_owned();
        let column = |name| header.split(',').position(|field| unquoted(field) == name);
        let (Some(timestamp), Some(price)) = (column("timestamp"), column("price")) else {
            let seen: String = header.trim_end().chars().take(80).collect();
            bail!("the first line is {seen:?}: give CSV with the header timestamp,price or NDJSON");
        };
        reader.format = Format::Csv(timestamp, price, column("source"));
        Ok(reader)
    }

    /// Reads the next line that is not blank; false at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        loop {
            self.line.clear();
            self.number += 1;
            if self.input.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(false);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn observation(&self) -> Result<Observation, String> {
        let line = std::str::from_utf8(&self.line).map_err(|error| error.to_string())?;
        match self.format {
            Format::Csv(timestamp, price, source) => {
                let field = |column| line.split(',').nth(column).map(unquoted).unwrap_or_default();
                observation(field(timestamp), field(price), source.map_or("", field))
            }
            Format::Ndjson => from_json(line),
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = io::Result<Result<Observation, BadLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_line() {
            Ok(false) => None,
            Ok(true) => {
                let number = self.number;
                Some(Ok(self.observation().map_err(|reason| BadLine { number, reason })))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// A field of CSV without its quotes. No time, price or name has a comma or a quote in it.
fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field)
}

fn from_json(line: &str) -> Result<Observation, String> {
    let wrong = |error| format!("not {{\"timestamp\": .., \"price\": ..}}: {error}");
    let Line { timestamp, price, source } = serde_json::from_str(line).map_err(wrong)?;
    // A number as it stands: no digit is lost.
    let text = |raw: &RawValue| match raw.get() {
        text if text.starts_with('"') => serde_json::from_str(text).map_err(wrong),
        number => Ok(number.to_owned()),
    };
    observation(&text(timestamp)?, &text(price)?, &source.unwrap_or_default())
}

fn observation(timestamp: &str, price: &str, source: &str) -> Result<Observation, String> {
    let time: UnixTime = timestamp.parse().map_err(|error| format!("timestamp: {error}"))?;
    let price = price.parse().map_err(|error| format!("price: {error}"))?;
    let names: Vec<&str> = source.split('+').filter(|_| !source.is_empty()).collect();
    let named = names.iter().all(|name| is_source_name(name));
    let distinct = names.iter().collect::<HashSet<_>>().len();
    if !named || names.len() > 10 || distinct < names.len() {
        let seen: String = source.chars().take(40).collect();
        return Err(format!(
            "source: {seen:?} is no name: give up to 32 of a-z, 0-9, - and _, several joined by +"
        ));
    }
    let provenance = (!source.is_empty()).then(|| Provenance {
        source: source.to_owned(),
        ask: None,
        bid: None,
    });
    Ok(Observation { sample: Sample { timestamp: time.second(), price }, provenance })
}
