//! Where the prices of samples came from: kept beside `prices`, whose members stay as they were.

use std::{
    collections::HashMap,
    sync::PoisonError,
    time::{Duration, Instant},
};

use redis::{Pipeline, RedisResult};

use super::{Store, StoreError, failed, keys, rollups::align_down};
use crate::domain::{Observation, Provenance, Sample};

/// The seconds in one hash: at one sample in ten seconds 100 fields, which Redis keeps packed.
const SECONDS: i64 = 1000;

/// The most samples that [`Remembered`] holds: about a megabyte.
const MOST_REMEMBERED: usize = 10_000;

/// How long it holds them.
const MEMORY: Duration = Duration::from_mins(1);

/// Where the prices of samples came from that were asked for lately, by second and price. It is
/// written in one step with a sample and stays; only who takes a sample out by hand and records
/// the same price in the same second from elsewhere is shown the old source, for a minute.
#[derive(Debug)]
pub(super) struct Remembered {
    since: Instant,
    of: HashMap<(i64, i64), Option<Provenance>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { since: Instant::now(), of: HashMap::new() }
    }
}

impl Remembered {
    /// The samples with where their prices came from, if that is known of all of them.
    fn recall(&self, samples: &[Sample]) -> Option<Vec<Observation>> {
        if self.since.elapsed() > MEMORY {
            return None;
        }
        let mut recalled = Vec::with_capacity(samples.len());
        for sample in samples {
            let provenance = self.of.get(&name(sample))?.clone();
            recalled.push(Observation { sample: *sample, provenance });
        }
        Some(recalled)
    }

    fn remember(&mut self, observations: &[Observation]) {
        let full = self.of.len() + observations.len() > MOST_REMEMBERED;
        if full || self.since.elapsed() > MEMORY {
            *self = Self::default();
        }
        let named = |it: &Observation| (name(&it.sample), it.provenance.clone());
        self.of.extend(observations.iter().map(named));
    }
}

fn name(sample: &Sample) -> (i64, i64) {
    (sample.timestamp, sample.price.ten_thousandths())
}

impl Store {
    /// As [`Store::with_provenance`], for what is asked for again and again: a second round trip
    /// to Redis costs as much as the first one.
    pub(super) async fn with_remembered_provenance(
        &self,
        samples: Vec<Sample>,
    ) -> Result<Vec<Observation>, StoreError> {
        let remembered = || self.provenances.lock().unwrap_or_else(PoisonError::into_inner);
        let recalled = remembered().recall(&samples);
        if let Some(observations) = recalled {
            return Ok(observations);
        }
        let observations = self.with_provenance(samples).await?;
        remembered().remember(&observations);
        Ok(observations)
    }

    /// The samples, oldest first, with where their prices came from.
    pub(super) async fn with_provenance(
        &self,
        samples: Vec<Sample>,
    ) -> Result<Vec<Observation>, StoreError> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let mut reads = Pipeline::new();
        for of_hash in samples.chunk_by(|a, b| hash(a.timestamp) == hash(b.timestamp)) {
            let Some(first) = of_hash.first() else { continue };
            let read = reads.cmd("HMGET").arg(key(hash(first.timestamp)));
            for sample in of_hash {
                read.arg(sample.timestamp);
            }
        }
        let read: RedisResult<Vec<Vec<Option<String>>>> =
            reads.query_async(&mut self.connection.clone()).await;
        let texts = read.map_err(failed("read where prices came from"))?.into_iter().flatten();
        Ok(samples
            .into_iter()
            .zip(texts)
            .map(|(sample, text)| Observation {
                sample,
                provenance: text.and_then(|text| text.parse::<Provenance>().ok()),
            })
            .collect())
    }

    /// Forgets where the prices of `[from, until)` came from, as far as these are whole hashes.
    pub(super) async fn forget_provenance(&self, from: i64, until: i64) -> Result<(), StoreError> {
        let mut gone = redis::cmd("UNLINK");
        let mut at = hash(from);
        while at + SECONDS <= until {
            gone.arg(key(at));
            at += SECONDS;
        }
        if at == hash(from) {
            return Ok(());
        }
        let gone: RedisResult<()> = gone.query_async(&mut self.connection.clone()).await;
        gone.map_err(failed("forget where prices came from"))
    }
}

/// The first second of the hash that a second's provenance is in.
fn hash(second: i64) -> i64 {
    align_down(second, SECONDS)
}

fn key(first: i64) -> String {
    format!("{}{first}", keys::QUOTES)
}
