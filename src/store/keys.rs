//! The names of all keys in Redis, each with its type. The keys of the queues are named by apalis-redis
//! (`fetch_btc_ars:*`, `housekeeping:*`, `core:apalis:queues:list`) and by `queue/settings.rs`
//! (`<queue>:alive`, `<queue>:paused`, `<queue>:held`). May use the domain.

use crate::domain::MissedReason;

/// ZSET: the samples in text form. Member: `<price>:<unix seconds>`; the old stack wrote `<price>` alone.
/// Score: the unix second at which the price was observed.
pub const PRICES: &str = "prices";

/// HASH: the blocks of sealed hours, see `block`. Field: the first unix second of the hour.
pub const HOURS: &str = "{prices}:hours";

/// HASH: `boundary`, the unix second before which the text of hours has been dropped; `changes`, the
/// number of entries that have been appended to [`CHANGES`]; `clock_set`, the unix second at which a
/// process last noticed that the clock of Redis was set.
pub const META: &str = "{prices}:meta";

/// STREAM: the changes of samples, see `changes`.
pub const CHANGES: &str = "{prices}:changes";

/// `HASH`es, one per hour that is not sealed, whose first unix second ends the key: the provenance of
/// samples. Field: the unix second of the sample. Value: `<sources>:<ask>:<bid>`.
pub const PROVENANCE: &str = "{prices}:provenance:";

/// HASH: the lengths of slots. Field: the unix second from which a length applies. Value: the length in
/// seconds.
pub const SLOTS: &str = "{prices}:slots";

/// ZSETs, one per reason, whose name ends the key, see [`missed`]: the missed slots; member and score are
/// the first unix second of the slot.
pub const MISSED: &str = "{prices}:missed:";

/// ZSET: the heartbeats of schedulers. Member: `<host>-<pid>.<random>`. Score: the unix second of the last one.
pub const SCHEDULER_HEARTBEATS: &str = "{prices}:seen:scheduler";

/// ZSET: the heartbeats of workers. Member: `<host>-<pid>.<random>`. Score: the unix second of the last one.
pub const WORKER_HEARTBEATS: &str = "{prices}:seen:worker";

/// ZSET: the heartbeats of apis. Member: `<host>-<pid>.<random>`. Score: the unix second of the last one.
pub const API_HEARTBEATS: &str = "{prices}:seen:api";

/// ZSET: how far the clocks of the machines of processes are ahead of the clock of Redis. Member:
/// `<host>-<pid>.<random>`. Score: seconds.
pub const SKEW: &str = "{prices}:skew";

/// `HASH`es, one per process, whose name ends the key: its description and activity, and the number of the
/// last batch that it added to [`SUMS`]. They expire when the process sends no heartbeats.
pub const PROCESS: &str = "{prices}:process:";

/// HASH: the sums of the metrics of all processes, see `crate::metrics`.
pub const SUMS: &str = "{prices}:sums";

/// STRINGs, one per request, whose token ends the key: they mark requests that were carried out, and
/// expire.
pub const DONE: &str = "{prices}:done:";

/// LIST: the audit log of operators' actions as JSON, newest first.
pub const AUDIT: &str = "{prices}:audit";

/// `HASH`es, one per source, whose name ends the key: the numbers of its answers, of its failures by
/// reason and of its samples, its last answer and its last failure.
pub const SOURCE: &str = "{prices}:source:";

/// LISTs, one per source, whose name ends the key: its last attempts, newest first, as
/// `<microseconds>:<1 if it answered, else 0>`.
pub const ATTEMPTS: &str = "{prices}:attempts:";

/// LIST: the rejected prices as JSON, newest first.
pub const REJECTED: &str = "{prices}:rejected";

/// `HASH`es, one per worker, whose name ends the key: its circuit breakers. Field: the source. Value:
/// `closed`, `half_open`, or the unix second until which the circuit is open. They expire when the worker
/// does not report.
pub const CIRCUITS: &str = "{prices}:circuits:";

/// The keys of version 0.1, see `upgrade`.
pub mod v0_1 {
    /// `HASH`es: sums of samples.
    pub const ROLLUPS: [&str; 2] = ["{prices}:rollups", "{prices}:rollups:2"];
    /// ZSET: gaps.
    pub const GAPS: &str = "{prices}:gaps";
    /// STRING: the length of slots in seconds.
    pub const SLOT: &str = "{prices}:slot";
    /// `HASH`es, one per 1000 seconds, the first of which ends the key: provenance.
    pub const QUOTES: &str = "{prices}:quotes:";
}

/// The key of [`PROCESS`] for a process.
pub fn process(name: &str) -> String {
    format!("{PROCESS}{name}")
}

/// The key of [`MISSED`] for a reason.
pub fn missed(reason: MissedReason) -> String {
    format!("{MISSED}{}", reason.name())
}

/// The keys of [`MISSED`] for all reasons, in the order of [`MissedReason::ALL`].
pub fn all_missed() -> [String; MissedReason::ALL.len()] {
    MissedReason::ALL.map(missed)
}

/// The key of [`SOURCE`] for a source.
pub fn source(name: &str) -> String {
    format!("{SOURCE}{name}")
}

/// The key of [`ATTEMPTS`] for a source.
pub fn attempts(source: &str) -> String {
    format!("{ATTEMPTS}{source}")
}

/// The key of [`CIRCUITS`] for a worker.
pub fn circuits(worker: &str) -> String {
    format!("{CIRCUITS}{worker}")
}

/// The key of [`PROVENANCE`] for an hour.
pub fn provenance(hour: i64) -> String {
    format!("{PROVENANCE}{hour}")
}
