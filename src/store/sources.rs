//! How the sources are: what came of asking them, which prices were not believed, who is left
//! alone.

use std::collections::HashMap;

use redis::{Pipeline, RedisResult, pipe};
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError, failed,
    hours::{Row, readable},
    keys,
};
use crate::domain::{Attempt, Circuit, CircuitState, Observation, Price, Slot};

/// The slots whose prices a new one is held against, and how many of these prices.
const RECENT_SLOTS: i64 = 60;
const RECENT_PRICES: u64 = 5;
/// The slots before that may have seen a jump.
const EARLIER_SLOTS: i64 = 2;
/// Attempts of a source, and prices not believed, that are remembered.
const ATTEMPTS: isize = 1000;
const REJECTED: isize = 100;
/// The seconds after which the circuit breakers of a silent worker are forgotten.
const CIRCUITS_SECONDS: i64 = 15;

/// A price that was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// When it was seen, in unix seconds.
    pub timestamp: i64,
    /// The first second of the slot it was seen in.
    pub slot: i64,
    /// Who said so.
    pub source: String,
    /// The price, in plain decimals.
    pub price: String,
    /// Why it was not believed.
    pub reason: String,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceReport {
    /// What was counted and seen: `answered`, one for each [`Reason`](crate::domain::Reason) of a
    /// failure, `samples`, the last answer (`last_at`, `last_ask`, `last_bid`, `last_micros`) and
    /// failure (`failed_at`, `failed`).
    pub fields: HashMap<String, String>,
    /// The last attempts, the last one first: microseconds, and whether it answered.
    pub attempts: Vec<(u64, bool)>,
    /// The circuit breakers of the workers that are alive.
    pub circuits: Vec<CircuitState>,
}

impl Store {
    /// What a price of the slot is held against: the prices recorded in the slots before it, the
    /// last one first, and those that were not believed in the last of them, each with its slot, if
    /// that has no sample: where another price was recorded, the refused one was wrong.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn evidence(
        &self,
        slot: Slot,
    ) -> Result<(Vec<Price>, Vec<(i64, Price)>), StoreError> {
        let length = slot.end() - slot.start();
        // Not in one pipeline: while a cluster moves the keys, the second one may be on another server.
        let mut connections = (self.connection.clone(), self.connection.clone());
        let mut recent = redis::cmd("ZREVRANGEBYSCORE");
        recent
            .arg(keys::PRICES)
            .arg(format!("({}", slot.start()))
            .arg(slot.start() - RECENT_SLOTS * length)
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(RECENT_PRICES);
        let mut rejected = redis::cmd("LRANGE");
        rejected.arg(keys::REJECTED).arg(0).arg(-1);
        let read = tokio::try_join!(
            recent.query_async::<Vec<Row>>(&mut connections.0),
            rejected.query_async::<Vec<String>>(&mut connections.1)
        );
        let (recent, rejected) = read.map_err(failed("read the last samples"))?;
        let recent: Vec<Observation> = readable(&recent);
        let is_witness = |other: i64| {
            (1..=EARLIER_SLOTS * length).contains(&(slot.start() - other))
                && !recent.iter().any(|observation| {
                    (other..other + length).contains(&observation.sample.timestamp.second())
                })
        };
        let earlier = rejections(&rejected)
            .filter(|rejected| is_witness(rejected.slot))
            .filter_map(|rejected| Some((rejected.slot, rejected.price.parse().ok()?)))
            .collect();
        Ok((recent.into_iter().map(|observation| observation.sample.price).collect(), earlier))
    }

    /// Notes what came of asking sources for the price of a slot. Of the prices that a source gave
    /// and that were not believed the last one is kept.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn report(&self, slot: Slot, attempts: &[Attempt]) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        let mut notes = pipe();
        let mut rejected: HashMap<&str, Rejected> = HashMap::new();
        for attempt in attempts {
            note(&mut notes, attempt);
            if let Err(failure) = &attempt.answer
                && let Some(price) = failure.rejected
            {
                let of_slot = Rejected {
                    timestamp: attempt.at,
                    slot: slot.start(),
                    source: attempt.source.clone(),
                    price: price.to_string(),
                    reason: failure.text.clone(),
                };
                rejected.insert(&attempt.source, of_slot);
            }
        }
        for of_slot in rejected.values() {
            let text = serde_json::to_string(of_slot).unwrap_or_default();
            notes.lpush(keys::REJECTED, text).ignore();
        }
        notes.ltrim(keys::REJECTED, 0, REJECTED - 1).ignore();
        self.once("note how the sources are", &notes).await
    }

    /// Notes the circuit breakers of a worker.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn tell_circuits(
        &self,
        worker: &str,
        circuits: &[Circuit],
    ) -> Result<(), StoreError> {
        let key = format!("{}{worker}", keys::CIRCUITS);
        let mut notes = pipe();
        for Circuit { source, state } in circuits {
            notes.hset(&key, source, circuit_text(*state)).ignore();
        }
        notes.expire(&key, CIRCUITS_SECONDS).ignore();
        let noted: RedisResult<()> = notes.query_async(&mut self.connection.clone()).await;
        noted.map_err(failed("note the circuit breakers"))
    }

    /// What is known of each of the named sources.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn source_reports(&self, names: &[&str]) -> Result<Vec<SourceReport>, StoreError> {
        let workers: RedisResult<Vec<String>> = redis::cmd("ZRANGE")
            .arg(keys::WORKERS_SEEN)
            .arg(0)
            .arg(-1)
            .query_async(&mut self.connection.clone())
            .await;
        let workers = workers.map_err(failed("look for workers"))?;
        let mut reads = Pipeline::new();
        for name in names {
            reads.hgetall(format!("{}{name}", keys::SOURCE));
            reads.lrange(format!("{}{name}", keys::ATTEMPTS), 0, -1);
            // So that each source has its own answers, however many workers there are.
            for worker in &workers {
                reads.hget(format!("{}{worker}", keys::CIRCUITS), name);
            }
        }
        let read: RedisResult<Vec<redis::Value>> =
            reads.query_async(&mut self.connection.clone()).await;
        let read = read.map_err(failed("read how the sources are"))?;
        read.chunks(2 + workers.len()).map(source_report).collect()
    }

    /// The prices that were not believed, the last one first; at most 100 of them.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn rejected(&self) -> Result<Vec<Rejected>, StoreError> {
        let read: RedisResult<Vec<String>> = redis::cmd("LRANGE")
            .arg(keys::REJECTED)
            .arg(0)
            .arg(-1)
            .query_async(&mut self.connection.clone())
            .await;
        Ok(rejections(&read.map_err(failed("read rejected prices"))?).collect())
    }
}

fn note(notes: &mut Pipeline, attempt: &Attempt) {
    let key = format!("{}{}", keys::SOURCE, attempt.source);
    let micros = attempt.took.as_micros();
    match &attempt.answer {
        Ok(quote) => {
            notes.hincr(&key, "answered", 1).ignore();
            notes.cmd("HSET").arg(&key).arg("last_at").arg(attempt.at).arg("last_micros");
            notes.arg(micros.to_string()).arg("last_ask").arg(quote.ask.to_string());
            let bid = quote.bid.map(|bid| bid.to_string()).unwrap_or_default();
            notes.arg("last_bid").arg(bid).ignore();
        }
        Err(failure) => {
            notes.hincr(&key, failure.reason.name(), 1).ignore();
            notes.cmd("HSET").arg(&key).arg("failed_at").arg(attempt.at);
            notes.arg("failed").arg(&failure.text).ignore();
        }
    }
    let key = format!("{}{}", keys::ATTEMPTS, attempt.source);
    notes.lpush(&key, format!("{micros}:{}", u8::from(attempt.answer.is_ok()))).ignore();
    notes.ltrim(&key, 0, ATTEMPTS - 1).ignore();
}

fn rejections(texts: &[String]) -> impl Iterator<Item = Rejected> {
    texts.iter().filter_map(|text| serde_json::from_str(text).ok())
}

/// Reads what was read of one source: its fields, its attempts, a circuit breaker a worker.
fn source_report(answers: &[redis::Value]) -> Result<SourceReport, StoreError> {
    let wrong = || failed("understand how the sources are");
    let [fields, attempts, circuits @ ..] = answers else { return Ok(SourceReport::default()) };
    let fields = redis::from_redis_value_ref(fields).map_err(|error| wrong()(error.into()))?;
    let attempts: Vec<String> =
        redis::from_redis_value_ref(attempts).map_err(|error| wrong()(error.into()))?;
    let circuits = circuits.iter().filter_map(|value| {
        let text: Option<String> = redis::from_redis_value_ref(value).ok()?;
        circuit(&text?)
    });
    Ok(SourceReport {
        fields,
        attempts: attempts.iter().filter_map(|text| attempt(text)).collect(),
        circuits: circuits.collect(),
    })
}

fn attempt(text: &str) -> Option<(u64, bool)> {
    let (micros, answered) = text.split_once(':')?;
    Some((micros.parse().ok()?, answered == "1"))
}

fn circuit_text(state: CircuitState) -> String {
    match state {
        CircuitState::Closed => "closed".to_owned(),
        CircuitState::HalfOpen => "half_open".to_owned(),
        CircuitState::Open(until) => until.to_string(),
    }
}

fn circuit(text: &str) -> Option<CircuitState> {
    match text {
        "closed" => Some(CircuitState::Closed),
        "half_open" => Some(CircuitState::HalfOpen),
        until => until.parse().ok().map(CircuitState::Open),
    }
}
