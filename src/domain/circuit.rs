//! The states of the circuit breakers of sources.

use poem_openapi::Enum;

/// Whether workers send requests to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "State", rename_all = "snake_case")]
pub enum CircuitState {
    /// They do.
    Closed,
    /// The source has failed repeatedly. The next request decides whether it is used again.
    HalfOpen,
    /// The source has failed repeatedly, or has asked for a pause: no requests are sent for a while.
    Open,
    /// No running worker uses the source.
    Unknown,
}

/// The circuit breaker of one source in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Its state.
    pub state: CircuitState,
    /// While it is open: the unix second until which no requests are sent.
    pub open_until: Option<i64>,
}

impl CircuitState {
    /// The states that a worker reports.
    pub const REPORTED: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The name of the state in Redis, in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

impl Circuit {
    /// The worst state of the circuit breakers of a source in all workers at the unix second `now`.
    pub fn worst(circuits: &[Self], now: i64) -> Self {
        let has = |state| circuits.iter().any(|circuit| circuit.state == state);
        let open_until = circuits.iter().filter_map(|circuit| circuit.open_until).max();
        let state = match open_until {
            // Workers report every two seconds only.
            Some(until) if until <= now => CircuitState::HalfOpen,
            Some(_) => CircuitState::Open,
            None if has(CircuitState::HalfOpen) => CircuitState::HalfOpen,
            None if circuits.is_empty() => CircuitState::Unknown,
            None => CircuitState::Closed,
        };
        Self { state, open_until: open_until.filter(|until| *until > now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Circuit = Circuit { state: CircuitState::Closed, open_until: None };
    const HALF_OPEN: Circuit = Circuit { state: CircuitState::HalfOpen, open_until: None };

    fn open(until: i64) -> Circuit {
        Circuit { state: CircuitState::Open, open_until: Some(until) }
    }

    #[test]
    fn the_worst_state_counts() {
        assert_eq!(Circuit::worst(&[CLOSED, CLOSED], 100), CLOSED);
        assert_eq!(Circuit::worst(&[CLOSED, HALF_OPEN], 100), HALF_OPEN);
        assert_eq!(Circuit::worst(&[HALF_OPEN, open(101), open(105), CLOSED], 100), open(105));
    }

    #[test]
    fn a_circuit_whose_pause_has_ended_is_half_open() {
        assert_eq!(Circuit::worst(&[open(100), CLOSED], 100), HALF_OPEN);
    }

    #[test]
    fn the_state_is_unknown_without_workers() {
        let unknown = Circuit { state: CircuitState::Unknown, open_until: None };
        assert_eq!(Circuit::worst(&[], 100), unknown);
    }

    #[test]
    fn states_have_the_names_of_the_contract() {
        let names = CircuitState::REPORTED.map(CircuitState::name);
        assert_eq!(names, ["closed", "half_open", "open"]);
        assert_eq!(CircuitState::Unknown.name(), "unknown");
    }
}
