//! Blocks, the compressed form of an hour: encoding and decoding.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this format |
//! | 4 | CRC-32 of everything after it, little-endian |
//! | about 30 | [`Header`] with the summary, written by `postcard` (variable-length integers) |
//! | rest | times, price offsets, origins: columns compressed with `pco` |

use pco::DeltaSpec;
use serde::{Deserialize, Serialize};

use super::{
    column::{STEPS, pack, unpack},
    hour::{HOUR, Hour, Kind, Offsets, Origins, Prices, Times},
};
use crate::domain::{Extremes, Schedule, Summary, Timestamp};

/// The version of the format that is written.
const VERSION: u8 = 1;

const INVALID_COLUMN: BlockError = BlockError::Content("a column cannot be decompressed");

/// The number of bytes of version and checksum.
const PREFIX: usize = 5;

/// The maximum number of samples in a block; limits how much memory corrupted bytes can allocate.
pub const MAX_SAMPLES: usize = 1 << 20;

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A later version of Cotiza has written it.
    #[error("its format has version {0}; this version of Cotiza reads version {VERSION} only")]
    Version(u8),
    /// The checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum is right, but the content is invalid.
    #[error("its content is invalid: {0}")]
    Content(&'static str),
}

/// The header in front of the columns: the summary, and how to read the columns.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    count: u32,
    /// The length of the slots that the next two fields count, in seconds; 0 if the hour has several lengths.
    slot_seconds: u64,
    /// The number of samples whose slot has an earlier sample.
    shared_slots: u32,
    gaps: u32,
    /// The lowest price in 1/10000 peso; the other prices are `lowest + unit * offset`.
    lowest: i64,
    unit: u64,
    sum_of_offsets: u128,
    highest_offset: u64,
    first_offset: u64,
    last_offset: u64,
    first: Time,
    last: Time,
    bytes_of_times: u32,
    bytes_of_prices: u32,
}

/// A time in a header.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Time {
    /// Seconds after the start of the hour.
    Second(u16),
    Score(f64),
}

/// The origins of the samples after the header.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StoredOrigins {
    kinds: Vec<Kind>,
    kind_of: Vec<u8>,
    quotes: Vec<u8>,
}

/// Encodes an hour that has at least one sample. Its summary depends on the schedule of slots.
///
/// # Errors
/// Returns an error if the hour has no sample, or more than [`MAX_SAMPLES`].
pub fn encode(hour: &Hour, schedule: &Schedule) -> Result<Vec<u8>, BlockError> {
    if hour.len() > MAX_SAMPLES {
        return Err(BlockError::Content("there are too many samples"));
    }
    let summary = hour.summary(0..hour.len(), schedule);
    let extremes = summary.extremes.ok_or(BlockError::Content("there is no sample"))?;
    let slot_seconds = slot_seconds(hour.start, schedule);
    let times = match &hour.times {
        Times::Seconds(seconds) => {
            pack(&shifted(seconds, slot_seconds.wrapping_neg()), DeltaSpec::Auto)
        }
        Times::Scores(scores) => pack(scores, DeltaSpec::Auto),
    };
    let Prices { lowest, unit, offsets } = &hour.prices;
    let prices = match offsets {
        Offsets::Narrow(offsets) => pack(offsets, STEPS),
        Offsets::Wide(offsets) => pack(offsets, STEPS),
    };
    let offset = |price: i64| ((price - lowest) / unit).unsigned_abs();
    let time = |at: Timestamp| match &hour.times {
        Times::Seconds(_) => Time::Second(u16::try_from(at.second() - hour.start).unwrap_or(0)),
        Times::Scores(_) => Time::Score(at.score()),
    };
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let header = Header {
        count: small(summary.count),
        slot_seconds,
        shared_slots: small(summary.count - summary.slots),
        gaps: small(summary.gaps),
        lowest: *lowest,
        unit: unit.unsigned_abs(),
        sum_of_offsets: ((summary.sum - i128::from(*lowest) * i128::from(summary.count))
            / i128::from(*unit))
        .unsigned_abs(),
        highest_offset: offset(extremes.max),
        first_offset: offset(extremes.first.1),
        last_offset: offset(extremes.last.1),
        first: time(extremes.first.0),
        last: time(extremes.last.0),
        bytes_of_times: small(times.len() as u64),
        bytes_of_prices: small(prices.len() as u64),
    };
    let mut bytes = vec![VERSION, 0, 0, 0, 0];
    bytes.extend(postcard::to_stdvec(&header).unwrap_or_default());
    bytes.extend(times);
    bytes.extend(prices);
    bytes.extend(hour.origins.to_bytes());
    let (prefix, content) = bytes.split_at_mut(PREFIX);
    if let Some(checksum) = prefix.get_mut(1..) {
        checksum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    }
    Ok(bytes)
}

/// Returns the summary of the hour that begins at `start`. It decodes the samples only if the header counts
/// slots of another length than the current one, or of several lengths.
///
/// # Errors
/// Returns an error if the bytes are not a block.
pub(super) fn summary(
    start: i64,
    bytes: &[u8],
    schedule: &Schedule,
) -> Result<Summary, BlockError> {
    let (header, _) = header(bytes)?;
    if header.slot_seconds == slot_seconds(start, schedule) && header.slot_seconds > 0 {
        return header.summary(start);
    }
    let hour = decode(start, bytes)?;
    Ok(hour.summary(0..hour.len(), schedule))
}

/// Returns the length of the slots of an hour in seconds; 0 if it has several lengths.
fn slot_seconds(start: i64, schedule: &Schedule) -> u64 {
    let length = schedule.length_within(start, start + HOUR);
    length.map_or(0, |length| length.as_secs())
}

/// Decodes the hour that begins at `start`.
///
/// # Errors
/// Returns an error if the bytes are not a block.
pub fn decode(start: i64, bytes: &[u8]) -> Result<Hour, BlockError> {
    let (header, columns) = header(bytes)?;
    let invalid = BlockError::Content;
    let (times_length, prices_length) =
        (header.bytes_of_times as usize, header.bytes_of_prices as usize);
    let (times, rest) =
        columns.split_at_checked(times_length).ok_or(invalid("the times are cut off"))?;
    let (prices, origins) =
        rest.split_at_checked(prices_length).ok_or(invalid("the prices are cut off"))?;
    let count = header.count as usize;
    let times = match header.first {
        Time::Second(_) => Times::Seconds(shifted(
            &unpack(times, count).ok_or(INVALID_COLUMN)?,
            header.slot_seconds,
        )),
        Time::Score(_) => Times::Scores(unpack(times, count).ok_or(INVALID_COLUMN)?),
    };
    let offsets = if u32::try_from(header.highest_offset).is_ok() {
        Offsets::Narrow(unpack(prices, count).ok_or(INVALID_COLUMN)?)
    } else {
        Offsets::Wide(unpack(prices, count).ok_or(INVALID_COLUMN)?)
    };
    let prices = Prices { lowest: header.lowest, unit: header.unit.cast_signed(), offsets };
    Ok(Hour { start, times, prices, origins: Origins::from_bytes(origins, count)? })
}

fn header(bytes: &[u8]) -> Result<(Header, &[u8]), BlockError> {
    let (prefix, content) = bytes.split_at_checked(PREFIX).ok_or(BlockError::Checksum)?;
    let [version, checksum @ ..] = prefix else { return Err(BlockError::Checksum) };
    if *version != VERSION {
        return Err(BlockError::Version(*version));
    }
    if *checksum != crc32fast::hash(content).to_le_bytes() {
        return Err(BlockError::Checksum);
    }
    let (header, columns): (Header, _) = postcard::take_from_bytes(content)
        .map_err(|_| BlockError::Content("the header cannot be read"))?;
    if !(1..=MAX_SAMPLES).contains(&(header.count as usize)) {
        return Err(BlockError::Content("the number of samples is out of bounds"));
    }
    Ok((header, columns))
}

impl Header {
    fn summary(&self, start: i64) -> Result<Summary, BlockError> {
        let price = |offset: u64| {
            let offset = i64::try_from(u128::from(offset) * u128::from(self.unit)).ok()?;
            self.lowest.checked_add(offset)
        };
        let time = |time: Time| match time {
            Time::Second(second) => i64::from(second)
                .lt(&HOUR)
                .then(|| Timestamp::from_second(start + i64::from(second))),
            Time::Score(score) => Timestamp::from_score(score),
        };
        let extremes = || {
            Some(Extremes {
                min: self.lowest,
                max: price(self.highest_offset)?,
                first: (time(self.first)?, price(self.first_offset)?),
                last: (time(self.last)?, price(self.last_offset)?),
            })
        };
        let price_sum = i128::try_from(self.sum_of_offsets)
            .ok()
            .and_then(|offsets| offsets.checked_mul(self.unit.into()))
            .and_then(|offsets| {
                offsets.checked_add(i128::from(self.lowest) * i128::from(self.count))
            });
        Ok(Summary {
            count: self.count.into(),
            slots: self.count.saturating_sub(self.shared_slots).into(),
            gaps: self.gaps.into(),
            sum: price_sum.ok_or(BlockError::Content("the sum is out of bounds"))?,
            extremes: Some(
                extremes().ok_or(BlockError::Content("the extremes are out of bounds"))?,
            ),
        })
    }
}

impl Origins {
    fn to_bytes(&self) -> Vec<u8> {
        if self.kinds.is_empty() {
            return Vec::new();
        }
        let kind_of = if self.kind_of.is_empty() { Vec::new() } else { pack(&self.kind_of, STEPS) };
        let stored =
            StoredOrigins { kinds: self.kinds.to_vec(), kind_of, quotes: self.quotes.to_vec() };
        postcard::to_stdvec(&stored).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8], count: usize) -> Result<Self, BlockError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let StoredOrigins { kinds, kind_of, quotes } = postcard::from_bytes(bytes)
            .map_err(|_| BlockError::Content("the origins cannot be read"))?;
        let kind_of = if kind_of.is_empty() {
            Box::default()
        } else {
            unpack(&kind_of, count).ok_or(INVALID_COLUMN)?
        };
        Ok(Self { kinds: kinds.into(), kind_of, quotes: quotes.into() })
    }
}

/// Adds `by` times its index to each second. Subtracting the slot length in this way leaves the offset
/// within the slot of regular samples, which compresses better.
fn shifted(seconds: &[u16], by: u64) -> Box<[u16]> {
    #[allow(clippy::cast_possible_truncation, reason = "all arithmetic here is modulo 2^16")]
    let by = by as u16;
    let shift = |(index, second): (u16, &u16)| second.wrapping_add(by.wrapping_mul(index));
    let indexes = (0..=u16::MAX).cycle();
    indexes.zip(seconds).map(shift).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Observation, Price, Provenance, Sample, Slots};

    const START: i64 = 1_717_182_000;

    fn schedule() -> Schedule {
        Schedule::new(Slots::new(Duration::from_secs(10)).unwrap())
    }

    fn price() -> impl Strategy<Value = Price> {
        let near = 800_000_000_000_i64..810_000_000_000;
        let units =
            prop_oneof![1i64..9_000_000_000_000_000, near, Just(1), Just(9_000_000_000_000_000)];
        units.prop_map(|units| Price::from_ten_thousandths(units).unwrap())
    }

    fn provenance() -> impl Strategy<Value = Option<Provenance>> {
        let source =
            prop_oneof![Just("buenbit".to_owned()), "[a-z]{1,3}(\\+[a-z0-9_-]{1,5}[a-z])?"];
        let fields = (source, prop::option::of(price()), prop::option::of(price()));
        prop::option::of(fields.prop_map(|(source, ask, bid)| Provenance { source, ask, bid }))
    }

    /// Generates samples of an hour: at whole or fractional seconds, near each other or not, of one source or
    /// many.
    fn observations() -> impl Strategy<Value = Vec<Observation>> {
        let whole = (0i64..3600).prop_map(|second| Timestamp::from_second(START + second));
        let fraction = (0i64..3600, 0.0..1.0).prop_map(|(second, rest)| {
            Timestamp::from_score(Timestamp::from_second(START + second).score() + rest).unwrap()
        });
        let time =
            prop_oneof![whole.clone().boxed(), prop_oneof![9 => whole, 1 => fraction].boxed()];
        let sample = (time, price(), provenance()).prop_map(|(timestamp, price, provenance)| {
            Observation { sample: Sample { timestamp, price }, provenance }
        });
        prop::collection::vec(sample, 1..80).prop_map(|mut samples| {
            samples.sort_by_key(|observation| observation.sample.timestamp);
            samples
        })
    }

    proptest! {
        #[test]
        fn every_hour_round_trips(observations in observations(), part in 0usize..80) {
            let hour = Hour::new(START, &observations);
            let bytes = encode(&hour, &schedule()).unwrap();
            let read = decode(START, &bytes).unwrap();
            prop_assert_eq!(read.observations(0..read.len()), &observations[..]);
            let from = part.min(observations.len());
            prop_assert_eq!(read.observations(from..read.len()), &observations[from..]);
            let points = observations.iter()
                .map(|it| (it.sample.timestamp, it.sample.price.ten_thousandths()));
            let expected = Summary::of(points, &schedule());
            prop_assert_eq!(summary(START, &bytes, &schedule()).unwrap(), expected);
            prop_assert_eq!(read.total(0..read.len()), expected.total());
            let short = Schedule::new(Slots::new(Duration::from_secs(7)).unwrap());
            let in_other_slots = read.summary(0..read.len(), &short);
            prop_assert_eq!(summary(START, &bytes, &short).unwrap(), in_other_slots);
            prop_assert_eq!(read, hour);
        }

        /// Corrupted bytes cause an error: no panic, no wrong price.
        #[test]
        fn corrupted_bytes_are_an_error(
            observations in observations(), at in any::<prop::sample::Index>(), flip in 1u8..=255,
            cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..9),
        ) {
            let bytes = encode(&Hour::new(START, &observations), &schedule()).unwrap();
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= flip;
            let cut_off = bytes[..cut.index(bytes.len())].to_vec();
            let extended = [bytes.as_slice(), &more].concat();
            for corrupted in [flipped, cut_off, extended] {
                prop_assert!(decode(START, &corrupted).is_err());
                prop_assert!(summary(START, &corrupted, &schedule()).is_err());
            }
        }

        /// Invalid content with a correct checksum neither panics nor allocates without bound.
        #[test]
        fn invalid_content_is_an_error_or_an_hour(
            content in prop::collection::vec(any::<u8>(), 0..200), observations in observations(),
            at in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let mut real = encode(&Hour::new(START, &observations), &schedule()).unwrap();
            let position = PREFIX + at.index(real.len() - PREFIX);
            real[position] ^= flip;
            for content in [content, real[PREFIX..].to_vec()] {
                let checksum = crc32fast::hash(&content).to_le_bytes();
                let bytes = [&[VERSION], &checksum[..], &content].concat();
                let _either = decode(START, &bytes).map(|hour| hour.observations(0..hour.len()));
                let _either = summary(START, &bytes, &schedule());
            }
        }
    }

    #[test]
    fn another_version_is_an_error_that_names_it() {
        let error = decode(START, &[7, 0, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(error, BlockError::Version(7));
        assert!(error.to_string().contains("version 7"), "{error}");
    }
}
