//! The problems in the status. May use the store.

use poem_openapi::{Enum, Object, types::ToJSON};
use serde_json::Value;

use super::{
    queues::QueueResponse,
    status::{ProcessCounts, StatusPrice},
};
use crate::{
    api::sources::SourceSummary,
    store::{ServerReport, StoreError},
};

/// The share of the memory limit of Redis above which a problem is reported.
const NEARLY_FULL: f64 = 0.9;

/// A current problem.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct ProblemResponse {
    /// Kind of the problem.
    pub code: ProblemCode,
    /// Description of the problem in English.
    pub text: String,
    /// Anchor of the section in `/help` that describes the solution.
    pub help: String,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProblemCode {
    /// Redis is unavailable.
    RedisAway,
    /// No scheduler is running.
    NoScheduler,
    /// No worker is running.
    NoWorker,
    /// The last price is too old.
    PriceStale,
    /// No price has been recorded yet.
    NothingRecorded,
    /// An operator has paused a queue.
    QueuePaused,
    /// A source has failed repeatedly or has requested a pause: its circuit breaker is open or half-open.
    SourceFailing,
    /// The memory of Redis is more than 90 % full.
    RedisMemory,
    /// The data under one of Cotiza's keys in Redis cannot be read.
    RedisData,
}

/// Collects the current problems.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<ProblemResponse>);

impl Problems {
    fn add(&mut self, code: ProblemCode, text: String) {
        // The anchor of a section is the code of its problem, with hyphens.
        let name = code.to_json().as_ref().and_then(Value::as_str).map(str::to_owned);
        let help = name.unwrap_or_default().replace('_', "-");
        self.0.push(ProblemResponse { code, text, help });
    }

    /// Returns the value that was read. Adds a problem if it cannot be read although Redis is available.
    pub(super) fn read<T>(
        &mut self,
        what: &str,
        is_up: bool,
        read: Result<T, StoreError>,
    ) -> Option<T> {
        if let (Err(error), true) = (&read, is_up) {
            let text = format!("The {what} cannot be read: {error}");
            self.add(ProblemCode::RedisData, text);
        }
        read.ok()
    }

    pub(super) fn of_redis(&mut self, server: &Result<ServerReport, StoreError>) {
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                let text = format!("Redis is unavailable: {error}");
                return self.add(ProblemCode::RedisAway, text);
            }
        };
        #[allow(clippy::cast_precision_loss, reason = "a share of few digits")]
        let share =
            server.memory.zip(server.max_memory).map(|(used, most)| used as f64 / most as f64);
        if let Some(share) = share.filter(|share| *share > NEARLY_FULL) {
            let text = format!("The memory of Redis is {:.0} % full.", share * 100.0);
            self.add(ProblemCode::RedisMemory, text);
        }
    }

    pub(super) fn of_processes(&mut self, counts: Option<&ProcessCounts>) {
        let Some(counts) = counts else { return };
        if counts.scheduler == 0 {
            let text = "No scheduler is running, so no jobs are enqueued.".to_owned();
            self.add(ProblemCode::NoScheduler, text);
        }
        if counts.worker == 0 {
            let text = "No worker is running, so no prices are fetched.".to_owned();
            self.add(ProblemCode::NoWorker, text);
        }
    }

    pub(super) fn of_queues(&mut self, queues: &[QueueResponse]) {
        for queue in queues {
            let Some(pause) = &queue.paused else { continue };
            let (name, by) = (&queue.name, &pause.by);
            let text = match pause.note.as_str() {
                "" => format!("The queue {name} was paused by {by}."),
                note => format!("The queue {name} was paused by {by}: {note}."),
            };
            self.add(ProblemCode::QueuePaused, text);
        }
    }

    pub(super) fn of_price(&mut self, price: Option<&StatusPrice>, is_empty: bool) {
        if is_empty {
            let text = "No price has been recorded yet.".to_owned();
            self.add(ProblemCode::NothingRecorded, text);
        }
        if let Some(price) = price.filter(|price| price.stale) {
            let text = format!("The last price is {} s old.", price.age);
            self.add(ProblemCode::PriceStale, text);
        }
    }

    pub(super) fn of_sources(&mut self, sources: &[SourceSummary]) {
        for source in sources.iter().filter(|source| source.enabled && source.is_failing()) {
            let why = source.last_failure.as_deref().unwrap_or("its requests fail");
            let text = format!("Requests to the source {} are suspended: {why}", source.name);
            self.add(ProblemCode::SourceFailing, text);
        }
    }
}
