//! Reads samples line by line: CSV with the header `timestamp,price`, or NDJSON with these names.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
};

use anyhow::bail;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{Sample, UnixTime};

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
    /// The columns of the timestamp and of the price.
    Csv(usize, usize),
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
        reader.format = Format::Csv(timestamp, price);
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

    fn sample(&self) -> Result<Sample, String> {
        let line = std::str::from_utf8(&self.line).map_err(|error| error.to_string())?;
        match self.format {
            Format::Csv(timestamp, price) => {
                let field = |column| line.split(',').nth(column).map(unquoted).unwrap_or_default();
                sample(field(timestamp), field(price))
            }
            Format::Ndjson => from_json(line),
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = io::Result<Result<Sample, BadLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_line() {
            Ok(false) => None,
            Ok(true) => {
                let number = self.number;
                Some(Ok(self.sample().map_err(|reason| BadLine { number, reason })))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// A field of CSV without its quotes. Neither a time nor a price has a comma or a quote in it.
fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field)
}

fn from_json(line: &str) -> Result<Sample, String> {
    let wrong = |error| format!("not {{\"timestamp\": .., \"price\": ..}}: {error}");
    let Line { timestamp, price } = serde_json::from_str(line).map_err(wrong)?;
    // A number as it stands: no digit is lost.
    let text = |raw: &RawValue| match raw.get() {
        text if text.starts_with('"') => serde_json::from_str(text).map_err(wrong),
        number => Ok(number.to_owned()),
    };
    sample(&text(timestamp)?, &text(price)?)
}

fn sample(timestamp: &str, price: &str) -> Result<Sample, String> {
    let time: UnixTime = timestamp.parse().map_err(|error| format!("timestamp: {error}"))?;
    let price = price.parse().map_err(|error| format!("price: {error}"))?;
    Ok(Sample { timestamp: time.second(), price })
}
