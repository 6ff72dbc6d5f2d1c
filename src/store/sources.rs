//! The results of requests to sources: recorded by workers, read by the api. Rejected prices are kept,
//! since they can confirm a later jump.

use std::collections::HashMap;

use redis::{Pipeline, RedisResult, pipe};
use serde::{Deserialize, Serialize};

use super::{
    SourceReport, Store, StoreError, failed,
    hours::{Row, readable},
    keys, send,
    source_report::{write_attempt, write_circuit},
};
use crate::domain::{Attempt, Circuit, Observation, RecentPrices, Slot};

/// The number of earlier slots whose prices a new one is compared with, and the number of these prices.
const RECENT_SLOTS: i64 = 60;
const RECENT_PRICES: u64 = 5;
/// The number of earlier slots whose rejected prices can confirm a jump.
const CONFIRMING_SLOTS: i64 = 2;
/// The numbers of attempts of a source and of rejected prices that are kept.
const ATTEMPTS: isize = 1000;
const REJECTED: isize = 100;
/// The circuit breakers of a worker that does not report for so many seconds expire.
const CIRCUITS_SECONDS: i64 = 15;

/// A rejected price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedPrice {
    /// When the source reported it, in unix seconds.
    pub timestamp: i64,
    /// The first unix second of the slot.
    pub slot: i64,
    /// The name of the source that reported the price.
    pub source: String,
    /// The price in pesos, as plain decimal text.
    pub price: String,
    /// Why it was rejected.
    pub reason: String,
}

impl Store {
    /// The prices that a price of the slot is compared with. A rejected price of a slot that has a sample
    /// is left out: there, another price was accepted.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn recent_prices(&self, slot: Slot) -> Result<RecentPrices, StoreError> {
        let length = slot.end() - slot.start();
        // Not in one pipeline: while a cluster moves the keys, they may be on different nodes.
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
        let can_confirm = |other: i64| {
            (1..=CONFIRMING_SLOTS * length).contains(&(slot.start() - other))
                && !recent.iter().any(|observation| {
                    (other..other + length).contains(&observation.sample.timestamp.second())
                })
        };
        let rejected = read_rejected(&rejected)
            .filter(|price| can_confirm(price.slot))
            .filter_map(|price| Some((price.slot, price.price.parse().ok()?)))
            .collect();
        let recorded = recent.into_iter().map(|observation| observation.sample.price).collect();
        Ok(RecentPrices { recorded, rejected })
    }

    /// Records the results of the requests for the price of a slot. Of several rejected prices of one
    /// source, the last one is kept.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn record_attempts(
        &self,
        slot: Slot,
        attempts: &[Attempt],
    ) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        let mut commands = pipe();
        let mut rejected: HashMap<&str, RejectedPrice> = HashMap::new();
        for attempt in attempts {
            record_attempt(&mut commands, attempt);
            if let Err(failure) = &attempt.answer
                && let Some(price) = failure.rejected
            {
                let price = RejectedPrice {
                    timestamp: attempt.at,
                    slot: slot.start(),
                    source: attempt.source.clone(),
                    price: price.to_string(),
                    reason: failure.text.clone(),
                };
                rejected.insert(&attempt.source, price);
            }
        }
        for price in rejected.values() {
            let text = serde_json::to_string(price).unwrap_or_default();
            commands.lpush(keys::REJECTED, text).ignore();
        }
        commands.ltrim(keys::REJECTED, 0, REJECTED - 1).ignore();
        self.execute_once("record requests to sources", &commands).await
    }

    /// Records the circuit breakers of a worker, by the name of the source.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn record_circuits(
        &self,
        worker: &str,
        circuits: &[(String, Circuit)],
    ) -> Result<(), StoreError> {
        let key = keys::circuits(worker);
        let mut commands = pipe();
        for (source, circuit) in circuits {
            commands.hset(&key, source, write_circuit(*circuit)).ignore();
        }
        commands.expire(&key, CIRCUITS_SECONDS).ignore();
        let connection = &mut self.connection.clone();
        send("record the circuit breakers", commands.query_async::<()>(connection)).await
    }

    /// The reports on the named sources.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn source_reports(&self, names: &[&str]) -> Result<Vec<SourceReport>, StoreError> {
        let connection = &mut self.connection.clone();
        let mut list = redis::cmd("ZRANGE");
        list.arg(keys::WORKER_HEARTBEATS).arg(0).arg(-1);
        let workers = list.query_async::<Vec<String>>(connection);
        let workers = send("list the workers", workers).await?;
        let mut reads = Pipeline::new();
        for name in names {
            reads.hgetall(keys::source(name));
            reads.lrange(keys::attempts(name), 0, -1);
            // One HGET per worker, so that each source has the same number of answers.
            for worker in &workers {
                reads.hget(keys::circuits(worker), name);
            }
        }
        let operation = "read the reports on the sources";
        let read = send(operation, reads.query_async::<Vec<redis::Value>>(connection)).await?;
        let reports = read.chunks(2 + workers.len()).map(SourceReport::read);
        reports.collect::<Result<_, _>>().map_err(|error| failed(operation)(error.into()))
    }

    /// The rejected prices, newest first; at most 100.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn rejected_prices(&self) -> Result<Vec<RejectedPrice>, StoreError> {
        let (mut list, connection) = (redis::cmd("LRANGE"), &mut self.connection.clone());
        let read: RedisResult<Vec<String>> =
            list.arg(keys::REJECTED).arg(0).arg(-1).query_async(connection).await;
        Ok(read_rejected(&read.map_err(failed("read rejected prices"))?).collect())
    }
}

fn record_attempt(commands: &mut Pipeline, attempt: &Attempt) {
    let key = keys::source(&attempt.source);
    match &attempt.answer {
        Ok(quote) => {
            commands.hincr(&key, "answered", 1).ignore();
            let micros = attempt.took.as_micros().to_string();
            commands.cmd("HSET").arg(&key).arg("last_at").arg(attempt.at).arg("last_micros");
            commands.arg(micros).arg("last_ask").arg(quote.ask.to_string());
            let bid = quote.bid.map(|bid| bid.to_string()).unwrap_or_default();
            commands.arg("last_bid").arg(bid).ignore();
        }
        Err(failure) => {
            commands.hincr(&key, failure.reason.name(), 1).ignore();
            commands.cmd("HSET").arg(&key).arg("failed_at").arg(attempt.at);
            commands.arg("failed").arg(&failure.text).ignore();
        }
    }
    let key = keys::attempts(&attempt.source);
    commands.lpush(&key, write_attempt(attempt.took, attempt.answer.is_ok())).ignore();
    commands.ltrim(&key, 0, ATTEMPTS - 1).ignore();
}

/// Unreadable entries are skipped.
fn read_rejected(texts: &[String]) -> impl Iterator<Item = RejectedPrice> {
    texts.iter().filter_map(|text| serde_json::from_str(text).ok())
}
