//! The samples of one hour in memory, as columns: 6 bytes per sample if times are whole seconds and
//! prices are near each other, otherwise more.
//!
//! Asks and bids are rarely needed and stay compressed. Uses the domain.

use std::{ops::Range, sync::Arc};

use super::column::{Column, QuoteColumns};
use crate::domain::{Observation, Price, Provenance, Sample, Schedule, Summary, Timestamp, Total};

/// The length of an hour in seconds.
pub const HOUR: i64 = 3600;

/// Returns the first unix second of the hour that contains a unix second.
pub fn hour_of(second: i64) -> i64 {
    second.div_euclid(HOUR) * HOUR
}

/// The samples of one hour, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Hour {
    pub(super) start: i64,
    pub(super) times: Times,
    pub(super) prices: Prices,
    pub(super) origins: Origins,
}

/// The times at which the samples were observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Times {
    /// Whole seconds after the start of the hour.
    Seconds(Box<[u16]>),
    /// Scores, if at least one has a fraction.
    Scores(Box<[f64]>),
}

/// Prices: `lowest + unit * offset`, in 1/10000 peso.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prices {
    pub(super) lowest: i64,
    pub(super) unit: i64,
    pub(super) offsets: Offsets,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Offsets {
    Narrow(Box<[u32]>),
    Wide(Box<[u64]>),
}

/// The origins of the prices.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Origins {
    /// The distinct origins; empty if no sample has one.
    pub(super) kinds: Box<[Kind]>,
    /// The index of each sample's kind; empty if all samples are of the first kind.
    pub(super) kind_of: Box<[u32]>,
    /// The asks and bids of the samples whose kind has them, as compressed differences from the price.
    pub(super) quotes: Box<[u8]>,
}

/// An origin of prices, and whether its prices have an ask and a bid.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Kind {
    /// The name of the source; empty for samples of unknown origin.
    pub(super) source: Arc<str>,
    pub(super) ask: bool,
    pub(super) bid: bool,
}

/// One row of a list of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When the price was observed.
    pub timestamp: Timestamp,
    /// The price in 1/10000 peso.
    pub price: i64,
    /// The name of the source, if it is known.
    pub source: Option<Arc<str>>,
}

impl Hour {
    /// Creates the hour that begins at `start` from its samples, which are given oldest first.
    pub fn new(start: i64, observations: &[Observation]) -> Self {
        let prices: Vec<i64> =
            observations.iter().map(|it| it.sample.price.ten_thousandths()).collect();
        Self {
            start,
            times: Times::new(start, observations.iter().map(|it| it.sample.timestamp)),
            origins: Origins::new(observations, &prices),
            prices: Prices::new(&prices),
        }
    }

    /// Returns the first unix second of the hour.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        match &self.times {
            Times::Seconds(seconds) => seconds.len(),
            Times::Scores(scores) => scores.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of samples before a score.
    pub fn before(&self, score: f64) -> usize {
        match &self.times {
            Times::Seconds(seconds) => {
                let first = (score - Timestamp::from_second(self.start).score()).ceil();
                seconds.partition_point(|&second| f64::from(second) < first)
            }
            Times::Scores(scores) => scores.partition_point(|&other| other < score),
        }
    }

    /// Returns the number of samples up to a score, inclusive.
    pub fn up_to(&self, score: f64) -> usize {
        self.before(score.next_up())
    }

    /// Returns the count and the sum of some of the samples.
    pub fn total(&self, range: Range<usize>) -> Total {
        let Prices { lowest, unit, offsets } = &self.prices;
        let sum_of_offsets: i128 = match offsets {
            Offsets::Narrow(offsets) => {
                let part = offsets.get(range.clone()).unwrap_or_default();
                part.iter().map(|&offset| u64::from(offset)).sum::<u64>().into()
            }
            Offsets::Wide(offsets) => {
                let part = offsets.get(range.clone()).unwrap_or_default();
                part.iter().map(|&offset| i128::from(offset)).sum()
            }
        };
        let count = range.len() as u64;
        let lowest = i128::from(*lowest) * i128::from(count);
        Total { count, sum: lowest + i128::from(*unit) * sum_of_offsets }
    }

    /// Returns the times and the prices (1/10000 peso) of some of the samples.
    pub fn points(&self, range: Range<usize>) -> impl Iterator<Item = (Timestamp, i64)> {
        range.map_while(|index| Some((self.timestamp(index)?, self.prices.get(index)?)))
    }

    /// Returns the summary of some of the samples.
    pub fn summary(&self, range: Range<usize>, schedule: &Schedule) -> Summary {
        Summary::of(self.points(range), schedule)
    }

    /// Returns some of the samples, without ask and bid.
    pub fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Row> {
        let first = range.start;
        self.points(range).enumerate().map(move |(index, (timestamp, price))| Row {
            timestamp,
            price,
            source: self.origins.kind(first + index).and_then(Kind::name),
        })
    }

    /// Returns some of the samples, with their provenance.
    pub fn observations(&self, range: Range<usize>) -> Vec<Observation> {
        let quotes = QuoteColumns::unpack(&self.origins.quotes);
        let skipped = |has: fn(&Kind) -> bool| {
            (0..range.start).filter(|&index| self.origins.kind(index).is_some_and(has)).count()
        };
        let mut asks = quotes.asks.values().skip(skipped(|kind| kind.ask));
        let mut bids = quotes.bids.values().skip(skipped(|kind| kind.bid));
        let first = range.start;
        let observation = |(index, (timestamp, price)): (usize, (Timestamp, i64))| {
            let provenance = self.origins.kind(first + index).and_then(|kind| {
                let at =
                    |difference: i64| Price::from_ten_thousandths(price.wrapping_add(difference));
                let ask = kind.ask.then(|| asks.next()).flatten().and_then(at);
                let bid = kind.bid.then(|| bids.next()).flatten().and_then(at);
                Some(Provenance { source: kind.name()?.to_string(), ask, bid })
            });
            let sample = Sample { timestamp, price: Price::from_ten_thousandths(price)? };
            Some(Observation { sample, provenance })
        };
        self.points(range).enumerate().filter_map(observation).collect()
    }

    /// Returns approximately the size of the hour in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Seconds(seconds) => size_of_val(&**seconds),
            Times::Scores(scores) => size_of_val(&**scores),
        };
        let offsets = match &self.prices.offsets {
            Offsets::Narrow(offsets) => size_of_val(&**offsets),
            Offsets::Wide(offsets) => size_of_val(&**offsets),
        };
        let Origins { kinds, kind_of, quotes } = &self.origins;
        let origins = size_of_val(&**kinds) + size_of_val(&**kind_of) + quotes.len();
        size_of::<Self>() + times + offsets + origins
    }

    fn timestamp(&self, index: usize) -> Option<Timestamp> {
        match &self.times {
            Times::Seconds(seconds) => {
                seconds.get(index).map(|&at| Timestamp::from_second(self.start + i64::from(at)))
            }
            Times::Scores(scores) => scores.get(index).and_then(|&at| Timestamp::from_score(at)),
        }
    }
}

impl Times {
    fn new(start: i64, times: impl Iterator<Item = Timestamp> + Clone) -> Self {
        let seconds = times.clone().map(|time| {
            let second = u16::try_from(time.second() - start).ok()?;
            (Timestamp::from_second(time.second()) == time).then_some(second)
        });
        match seconds.collect() {
            Some(seconds) => Self::Seconds(seconds),
            None => Self::Scores(times.map(Timestamp::score).collect()),
        }
    }
}

impl Prices {
    fn new(prices: &[i64]) -> Self {
        let lowest = prices.iter().copied().min().unwrap_or_default();
        let differences = prices.iter().map(|price| price.abs_diff(lowest));
        let unit = differences.clone().fold(0, greatest_common_divisor).max(1);
        let offsets = differences.map(|difference| difference / unit);
        let offsets = match offsets.clone().map(|offset| u32::try_from(offset).ok()).collect() {
            Some(narrow) => Offsets::Narrow(narrow),
            None => Offsets::Wide(offsets.collect()),
        };
        Self { lowest, unit: unit.cast_signed(), offsets }
    }

    fn get(&self, index: usize) -> Option<i64> {
        let offset = match &self.offsets {
            Offsets::Narrow(offsets) => u64::from(*offsets.get(index)?),
            Offsets::Wide(offsets) => *offsets.get(index)?,
        };
        // Wrapping, because corrupted data must not cause a panic.
        Some(self.lowest.wrapping_add(self.unit.wrapping_mul(offset.cast_signed())))
    }
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

impl Origins {
    fn new(observations: &[Observation], prices: &[i64]) -> Self {
        if observations.iter().all(|it| it.provenance.is_none()) {
            return Self::default();
        }
        let (mut kinds, mut kind_of) = (Vec::<Kind>::new(), Vec::new());
        let (mut asks, mut bids) = (Vec::new(), Vec::new());
        for (observation, price) in observations.iter().zip(prices) {
            let provenance = observation.provenance.as_ref();
            let (ask, bid) = provenance.map_or((None, None), |from| (from.ask, from.bid));
            let source = provenance.map_or("", |from| from.source.as_str());
            let is_same = |kind: &Kind| {
                (&*kind.source, kind.ask, kind.bid) == (source, ask.is_some(), bid.is_some())
            };
            let index = kinds.iter().position(is_same).unwrap_or_else(|| {
                kinds.push(Kind { source: source.into(), ask: ask.is_some(), bid: bid.is_some() });
                kinds.len() - 1
            });
            kind_of.push(u32::try_from(index).unwrap_or(u32::MAX));
            asks.extend(ask.map(|ask| ask.ten_thousandths() - price));
            bids.extend(bid.map(|bid| bid.ten_thousandths() - price));
        }
        if kinds.len() == 1 {
            kind_of.clear();
        }
        let quotes = QuoteColumns { asks: Column::new(&asks), bids: Column::new(&bids) };
        Self { kinds: kinds.into(), kind_of: kind_of.into(), quotes: quotes.pack().into() }
    }

    fn kind(&self, index: usize) -> Option<&Kind> {
        let kind = if self.kind_of.is_empty() { 0 } else { *self.kind_of.get(index)? };
        self.kinds.get(usize::try_from(kind).ok()?)
    }
}

impl Kind {
    fn name(&self) -> Option<Arc<str>> {
        (!self.source.is_empty()).then(|| Arc::clone(&self.source))
    }
}
