//! Reads samples from CSV (RFC 4180) with the header `timestamp,price`, or from NDJSON with these names. The
//! column `source` is optional; other columns are ignored. Depends on `domain`.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Chain, Lines, Read as _},
};

use anyhow::{Context as _, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, Terminator};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::{
    Observation, PriceError, Provenance, Sample, TimeError, Timestamp, UnixTime, is_source_name,
};

/// The byte order mark with which spreadsheets on Windows begin files.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An iterator over the samples of a file.
pub(super) struct Reader<'a> {
    rows: Rows<'a>,
    /// The unix second at which the current slot ends. A sample with this timestamp or a later one is in the
    /// future.
    end: i64,
}

enum Rows<'a> {
    Csv {
        reader: csv::Reader<Chain<BufReader<&'a mut File>, &'static [u8]>>,
        columns: Columns,
        record: ByteRecord,
    },
    Ndjson {
        lines: Lines<BufReader<&'a mut File>>,
        number: u64,
    },
}

/// The positions of the fields in a CSV record.
struct Columns {
    timestamp: usize,
    price: usize,
    source: Option<usize>,
    count: usize,
}

/// A line without a valid sample.
pub(super) struct BadLine {
    pub(super) number: u64,
    pub(super) error: LineError,
}

/// Why a line has no valid sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error(
        "the line has {found} fields, but the header has {expected}; quote fields that contain commas"
    )]
    FieldCount { found: usize, expected: usize },
    #[error("the line is not valid UTF-8")]
    NotUtf8,
    #[error("not an object such as {{\"timestamp\": .., \"price\": ..}}: {0}")]
    NotAnObject(#[from] serde_json::Error),
    #[error("timestamp: {0}")]
    Timestamp(#[from] TimeError),
    #[error("timestamp: {0} is in the future")]
    Future(String),
    #[error("timestamp: give a time in the years 1 to 9999")]
    OutOfCalendar,
    #[error("price: {0}")]
    Price(#[from] PriceError),
    #[error(
        "source: {0:?} is not a valid name: give 1 to 32 characters of a-z, 0-9, - and _, with at \
         least one letter; join up to 10 different names with +"
    )]
    Source(String),
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
    /// Detects the format from the beginning of the file.
    pub(super) fn new(file: &'a mut File, end: i64) -> anyhow::Result<Self> {
        let mut input = BufReader::with_capacity(1 << 16, file);
        if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        if input.fill_buf()?.trim_ascii_start().starts_with(b"{") {
            return Ok(Self { rows: Rows::Ndjson { lines: input.lines(), number: 0 }, end });
        }
        // `flexible`: the number of fields is checked below, because a wrong one makes a line invalid.
        // With a line break at the end, each record ends at the beginning of a line.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(input.chain(&b"\n"[..]));
        let header = reader.byte_headers().context("cannot read the header")?;
        let column = |name: &[u8]| header.iter().position(|field| field.trim_ascii() == name);
        let (Some(timestamp), Some(price)) = (column(b"timestamp"), column(b"price")) else {
            let shown =
                String::from_utf8_lossy(header.as_slice()).chars().take(80).collect::<String>();
            bail!(
                "the first line is {shown:?}: give CSV with the header timestamp,price, or NDJSON"
            );
        };
        let columns = Columns { timestamp, price, source: column(b"source"), count: header.len() };
        Ok(Self { rows: Rows::Csv { reader, columns, record: ByteRecord::new() }, end })
    }

    /// Returns the next sample, or the reason why a line has none; `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Result<Observation, BadLine>>> {
        let end = self.end;
        let (number, read) = match &mut self.rows {
            Rows::Csv { reader, columns, record } => {
                loop {
                    if !reader.read_byte_record(record)? {
                        return Ok(None);
                    }
                    if !record.as_slice().trim_ascii().is_empty() {
                        break;
                    }
                }
                let lines = record.as_slice().split(|&byte| byte == b'\n').count();
                let number = reader.position().line().saturating_sub(lines as u64);
                // The fields that are read contain no line breaks. After an unclosed quote, the rest of the
                // file would be one field.
                let mut fields = columns.of(record).into_iter().flatten();
                let is_open = fields.any(|field| field.contains(&b'\n'));
                let first = record.position().map_or(number, csv::Position::line);
                ensure!(!is_open, "line {first}: a quoted field is not closed");
                (number, columns.observation(record, end))
            }
            Rows::Ndjson { lines, number } => loop {
                *number += 1;
                let Some(line) = lines.next() else { return Ok(None) };
                match line {
                    Ok(line) if line.trim().is_empty() => {}
                    Ok(line) => break (*number, from_json(&line, end)),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        break (*number, Err(LineError::NotUtf8));
                    }
                    Err(error) => return Err(error.into()),
                }
            },
        };
        Ok(Some(read.map_err(|error| BadLine { number, error })))
    }
}

impl Columns {
    /// Returns the fields of a record: timestamp, price, source.
    fn of<'a>(&self, record: &'a ByteRecord) -> [Option<&'a [u8]>; 3] {
        [Some(self.timestamp), Some(self.price), self.source].map(|at| record.get(at?))
    }

    fn observation(&self, record: &ByteRecord, end: i64) -> Result<Observation, LineError> {
        if record.len() != self.count {
            let (found, expected) = (record.len(), self.count);
            return Err(LineError::FieldCount { found, expected });
        }
        let text = |field: Option<&'_ [u8]>| {
            let field = field.unwrap_or_default().trim_ascii();
            String::from_utf8(field.to_vec()).map_err(|_| LineError::NotUtf8)
        };
        let [timestamp, price, source] = self.of(record);
        observation(&text(timestamp)?, &text(price)?, &text(source)?, end)
    }
}

fn from_json(line: &str, end: i64) -> Result<Observation, LineError> {
    let Line { timestamp, price, source } = serde_json::from_str(line)?;
    // A number is kept as text, so that no digit is lost.
    let text = |raw: &RawValue| match raw.get() {
        text if text.starts_with('"') => serde_json::from_str(text),
        number => Ok(number.to_owned()),
    };
    observation(&text(timestamp)?, &text(price)?, &source.unwrap_or_default(), end)
}

fn observation(
    timestamp: &str,
    price: &str,
    source: &str,
    end: i64,
) -> Result<Observation, LineError> {
    let time: UnixTime = timestamp.parse()?;
    if time.second() >= end {
        return Err(LineError::Future(timestamp.to_owned()));
    }
    let time = Timestamp::from_score(time.as_score()).ok_or(LineError::OutOfCalendar)?;
    let price = price.parse()?;
    let names: Vec<&str> = source.split('+').filter(|_| !source.is_empty()).collect();
    let named = names.iter().all(|name| is_source_name(name));
    let distinct = names.iter().collect::<HashSet<_>>().len();
    if !named || names.len() > 10 || distinct < names.len() {
        return Err(LineError::Source(source.chars().take(40).collect()));
    }
    let provenance = (!source.is_empty()).then(|| Provenance {
        source: source.to_owned(),
        ask: None,
        bid: None,
    });
    Ok(Observation { sample: Sample { timestamp: time, price }, provenance })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;

    use super::*;

    /// Reads a file with these bytes. Returns the number of samples and the numbers of the invalid lines.
    fn read(bytes: &[u8]) -> anyhow::Result<(usize, Vec<u64>)> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        file.rewind()?;
        let mut reader = Reader::new(&mut file, 2_000_000_000)?;
        let (mut good, mut bad) = (0, Vec::new());
        while let Some(line) = reader.next()? {
            match line {
                Ok(_) => good += 1,
                Err(line) => bad.push(line.number),
            }
        }
        Ok((good, bad))
    }

    proptest! {
        #[test]
        fn any_file_is_read_to_its_end_or_rejected(
            head in prop_oneof![Just("timestamp,price\n"), Just("\u{feff}price,timestamp,source\r\n"), Just("{"), Just("")],
            lines in prop::collection::vec("([0-9.,:TZ-]{0,30}|[\"{}a-z,\r:0-9 ]{0,40}|\\PC{0,20})", 0..20),
            raw in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = format!("{head}{}", lines.join("\n")).into_bytes();
            bytes.extend(raw);
            let count = bytes.split(|byte| *byte == b'\n').count();
            if let Ok((good, bad)) = read(&bytes) {
                prop_assert!(good + bad.len() <= count, "{good} and {bad:?} of {count} lines");
                prop_assert!(bad.iter().all(|number| (1..=count as u64).contains(number)), "{bad:?}");
            }
        }

        #[test]
        fn written_samples_can_be_read_again(samples in prop::collection::vec((0i64..1_999_999_999, 1u64..10_000_000), 0..20)) {
            let rows: Vec<String> =
                samples.iter().map(|(at, price)| format!("{at},{price}.5\n")).collect();
            prop_assert_eq!(read(format!("timestamp,price\n{}", rows.concat()).as_bytes()).unwrap(), (samples.len(), vec![]));
        }
    }
}
