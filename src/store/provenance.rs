//! Where the prices of samples came from: kept beside `prices`, whose members stay as they were.

use redis::{Pipeline, RedisResult};

use super::{Store, StoreError, failed, keys, rollups::align_down};
use crate::domain::{Observation, Provenance, Sample};

/// The seconds in one hash: at one sample in ten seconds 100 fields, which Redis keeps packed.
const SECONDS: i64 = 1000;

impl Store {
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
