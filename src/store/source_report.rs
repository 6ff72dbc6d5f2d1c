//! What Redis has on a source, read into types. [`super::sources`] writes it.

use std::{collections::HashMap, time::Duration};

use redis::{FromRedisValue as _, ParsingError, Value};

use crate::domain::{Circuit, CircuitState, MissedReason, Quote};

/// The results of all requests to a source, as workers have recorded them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceReport {
    /// The number of requests that were answered with a price.
    pub answered: u64,
    /// The numbers of requests that failed, in the order of [`MissedReason::OF_SOURCES`].
    pub failed: [u64; MissedReason::OF_SOURCES.len()],
    /// The number of recorded samples from this source.
    pub samples: u64,
    /// The last answer.
    pub last_answer: Option<LastAnswer>,
    /// The last failure.
    pub last_failure: Option<LastFailure>,
    /// The last 1000 requests, newest first: how long each took, and whether it was answered.
    pub attempts: Vec<(Duration, bool)>,
    /// The circuit breakers of the running workers.
    pub circuits: Vec<Circuit>,
}

/// An answer of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAnswer {
    /// When it arrived, in unix seconds.
    pub at: i64,
    /// The ask and the bid.
    pub quote: Quote,
    /// How long it took.
    pub took: Duration,
}

/// A failed request to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When the request failed, in unix seconds.
    pub at: i64,
    /// What happened.
    pub text: String,
}

impl SourceReport {
    /// Reads the answers to the requests for one source: HGETALL of its hash, LRANGE of its attempts, and
    /// one HGET of its circuit breaker per worker. Unreadable fields count as missing.
    pub(super) fn read(answers: &[Value]) -> Result<Self, ParsingError> {
        let [fields, attempts, circuits @ ..] = answers else { return Ok(Self::default()) };
        let fields = HashMap::<String, String>::from_redis_value_ref(fields)?;
        let attempts = Vec::<String>::from_redis_value_ref(attempts)?;
        let circuit = |value| read_circuit(&Option::<String>::from_redis_value_ref(value).ok()??);
        Ok(Self {
            answered: number(&fields, "answered"),
            failed: MissedReason::OF_SOURCES.map(|reason| number(&fields, reason.name())),
            samples: number(&fields, "samples"),
            last_answer: read_last_answer(&fields),
            last_failure: read_last_failure(&fields),
            attempts: attempts.iter().filter_map(|text| read_attempt(text)).collect(),
            circuits: circuits.iter().filter_map(circuit).collect(),
        })
    }

    /// The worst state of the circuit breakers of all workers at the unix second `now`.
    pub fn circuit(&self, now: i64) -> Circuit {
        Circuit::worst(&self.circuits, now)
    }

    /// The time within which the given share of the last answers arrived; `None` without answers.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let answered = self.attempts.iter().filter(|(_, is_answered)| *is_answered);
        let mut latencies: Vec<Duration> = answered.map(|(took, _)| *took).collect();
        latencies.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 1000 of them"
        )]
        let at = (latencies.len() as f64 * share) as usize;
        latencies.get(at.min(latencies.len().saturating_sub(1))).copied()
    }
}

fn number(fields: &HashMap<String, String>, name: &str) -> u64 {
    fields.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn read_last_answer(fields: &HashMap<String, String>) -> Option<LastAnswer> {
    let at = fields.get("last_at")?.parse().ok()?;
    let ask = fields.get("last_ask")?.parse().ok()?;
    let bid = fields.get("last_bid").and_then(|text| text.parse().ok());
    let took = Duration::from_micros(number(fields, "last_micros"));
    Some(LastAnswer { at, quote: Quote { ask, bid }, took })
}

fn read_last_failure(fields: &HashMap<String, String>) -> Option<LastFailure> {
    let at = fields.get("failed_at")?.parse().ok()?;
    Some(LastFailure { at, text: fields.get("failed")?.clone() })
}

/// The text of an attempt in Redis.
pub(super) fn write_attempt(took: Duration, is_answered: bool) -> String {
    format!("{}:{}", took.as_micros(), u8::from(is_answered))
}

fn read_attempt(text: &str) -> Option<(Duration, bool)> {
    let (micros, is_answered) = text.split_once(':')?;
    Some((Duration::from_micros(micros.parse().ok()?), is_answered == "1"))
}

/// The text of a circuit breaker in Redis.
pub(super) fn write_circuit(circuit: Circuit) -> String {
    circuit.open_until.map_or_else(|| circuit.state.name().to_owned(), |until| until.to_string())
}

fn read_circuit(text: &str) -> Option<Circuit> {
    let states = [CircuitState::Closed, CircuitState::HalfOpen];
    if let Some(state) = states.into_iter().find(|state| state.name() == text) {
        return Some(Circuit { state, open_until: None });
    }
    let open_until = Some(text.parse().ok()?);
    Some(Circuit { state: CircuitState::Open, open_until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(times: impl IntoIterator<Item = u64>) -> SourceReport {
        let attempts = times.into_iter().map(|ms| (Duration::from_millis(ms), true)).collect();
        SourceReport { attempts, ..SourceReport::default() }
    }

    #[test]
    fn circuits_read_back_as_they_were_written() {
        for (state, open_until) in [
            (CircuitState::Closed, None),
            (CircuitState::HalfOpen, None),
            (CircuitState::Open, Some(1_717_184_864)),
        ] {
            let circuit = Circuit { state, open_until };
            assert_eq!(read_circuit(&write_circuit(circuit)), Some(circuit));
        }
        assert_eq!(read_circuit("other"), None);
    }

    #[test]
    fn attempts_read_back_as_they_were_written() {
        for attempt in [(Duration::from_millis(1500), true), (Duration::ZERO, false)] {
            assert_eq!(read_attempt(&write_attempt(attempt.0, attempt.1)), Some(attempt));
        }
        assert_eq!(read_attempt("other"), None);
    }

    #[test]
    fn the_latency_is_the_percentile_of_the_answers() {
        let report = milliseconds((1..=100).rev());
        assert_eq!(report.latency(0.5), Some(Duration::from_millis(51)));
        assert_eq!(report.latency(0.99), Some(Duration::from_millis(100)));
        assert_eq!(milliseconds([7]).latency(0.99), Some(Duration::from_millis(7)));
        assert_eq!(milliseconds([]).latency(0.5), None);
    }

    #[test]
    fn failed_requests_have_no_latency() {
        let attempts = vec![(Duration::from_secs(9), false), (Duration::from_secs(1), true)];
        let report = SourceReport { attempts, ..SourceReport::default() };
        assert_eq!(report.latency(0.99), Some(Duration::from_secs(1)));
    }
}
