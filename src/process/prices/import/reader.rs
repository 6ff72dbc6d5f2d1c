//! Reads samples line by line: CSV with the header `timestamp,price`, or NDJSON with these names.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
};

use anyhow::bail;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{Sample, UnixTime};

/// The samples of a file, or what is wrong with a line, or an error of the file itself.
pub(super) enum Reader<'a> {
    Csv { rows: csv::Reader<BufReader<&'a mut File>>, row: csv::ByteRecord, columns: [usize; 2] },
    Ndjson { lines: BufReader<&'a mut File>, line: String, number: u64 },
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
    /// Sees from its first character which of the two the file is.
    pub(super) fn new(file: &'a mut File) -> anyhow::Result<Self> {
        let mut input = BufReader::with_capacity(1 << 16, file);
        if input.fill_buf()?.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::Ndjson { lines: input, line: String::new(), number: 0 });
        }
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let headers = rows.headers()?.clone();
        let column = |name| headers.iter().position(|header| header.trim() == name);
        let (Some(timestamp), Some(price)) = (column("timestamp"), column("price")) else {
            let seen: Vec<&str> = headers.iter().collect();
            bail!(
                "the first line is {:?}: give CSV with the header timestamp,price or NDJSON",
                seen.join(",").chars().take(80).collect::<String>()
            );
        };
        Ok(Self::Csv { rows, row: csv::ByteRecord::new(), columns: [timestamp, price] })
    }
}

impl Iterator for Reader<'_> {
    type Item = io::Result<Result<Sample, BadLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv { rows, row, columns } => match rows.read_byte_record(row) {
                Ok(false) => None,
                Ok(true) => {
                    let number = row.position().map_or(0, csv::Position::line);
                    let [timestamp, price] = columns
                        .map(|column| String::from_utf8_lossy(row.get(column).unwrap_or_default()));
                    Some(Ok(sample(timestamp.trim(), price.trim())
                        .map_err(|reason| BadLine { number, reason })))
                }
                Err(error) => Some(Err(error.into())),
            },
            Self::Ndjson { lines, line, number } => loop {
                line.clear();
                *number += 1;
                match lines.read_line(line) {
                    Ok(0) => return None,
                    Ok(_) if line.trim().is_empty() => {}
                    Ok(_) => {
                        let number = *number;
                        return Some(Ok(
                            from_json(line).map_err(|reason| BadLine { number, reason })
                        ));
                    }
                    Err(error) => return Some(Err(error)),
                }
            },
        }
    }
}

fn from_json(line: &str) -> Result<Sample, String> {
    let Line { timestamp, price } = serde_json::from_str(line)
        .map_err(|error| format!("not {{\"timestamp\": .., \"price\": ..}}: {error}"))?;
    // A number as it stands, or the text within quotes: no digit is lost.
    sample(timestamp.get().trim_matches('"'), price.get().trim_matches('"'))
}

fn sample(timestamp: &str, price: &str) -> Result<Sample, String> {
    let time: UnixTime = timestamp.parse().map_err(|error| format!("timestamp: {error}"))?;
    let price = price.parse().map_err(|error| format!("price: {error}"))?;
    Ok(Sample { timestamp: time.second(), price })
}
