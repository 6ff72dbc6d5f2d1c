//! The names of all keys in Redis, each with its type. Those of the queues are named by apalis-redis,
//! `fetch_btc_ars:*`, `housekeeping:*` and `core:apalis:queues:list`, and by `queue/settings.rs`:
//! `<queue>:alive`, `<queue>:paused`, `<queue>:held`.

/// ZSET: the samples as text, one member each, `<price>:<unix seconds>`; its score is the unix
/// second at which the price was observed. The old stack wrote members without ':'.
pub const PRICES: &str = "prices";

/// HASH: the samples as blocks, see `block`; a field for each hour, named by its first unix second.
pub const HOURS: &str = "{prices}:hours";

/// HASH: `boundary`, the unix second before which the text of hours has been dropped; `changes`,
/// how many entries have been appended to [`CHANGES`]; `clock_set`, the unix second at which the
/// clock of Redis was last seen to be set.
pub const META: &str = "{prices}:meta";

/// STREAM: what has changed, see `changes`.
pub const CHANGES: &str = "{prices}:changes";

/// `HASH`es, one for each hour that is not sealed, whose first unix second ends the name: a field a
/// sample, its unix second, with where its price came from, `<sources>:<ask>:<bid>`.
pub const PROVENANCE: &str = "{prices}:provenance:";

/// HASH: the lengths of slots; the unix second from which a length applies, and the length in
/// seconds.
pub const SLOTS: &str = "{prices}:slots";

/// ZSETs, one a reason in the order of `Reason::ALL`: one member a missed slot, its first unix
/// second, which is its score too.
pub const MISSED: [&str; 9] = [
    "{prices}:missed:exchange_timeout",
    "{prices}:missed:exchange_error",
    "{prices}:missed:bad_answer",
    "{prices}:missed:too_late",
    "{prices}:missed:worker_lost",
    "{prices}:missed:redis_away",
    "{prices}:missed:price_rejected",
    "{prices}:missed:no_worker",
    "{prices}:missed:paused",
];

/// ZSET: one member a scheduler, `<host>-<pid>.<random>`; its score is the unix second of its last work.
pub const SCHEDULERS_SEEN: &str = "{prices}:seen:scheduler";

/// ZSET: one member a worker, `<host>-<pid>.<random>`; its score is the unix second of its last work.
pub const WORKERS_SEEN: &str = "{prices}:seen:worker";

/// ZSET: one member an api, `<host>-<pid>.<random>`; its score is the unix second of its last work.
pub const APIS_SEEN: &str = "{prices}:seen:api";

/// ZSET: one member a process, `<host>-<pid>.<random>`; its score is how far the clock of its machine is
/// ahead of the clock of Redis, in seconds.
pub const SKEW: &str = "{prices}:skew";

/// `HASH`es, one a process, whose name ends the key: what it is, what it has done, and the number of the
/// last batch of [`SUMS`]. They expire when the process is silent.
pub const PROCESS: &str = "{prices}:process:";

/// HASH: what all processes have counted and measured, see `crate::metrics`.
pub const SUMS: &str = "{prices}:sums";

/// STRINGs, one a request, whose token ends the name: that it has been carried out. They expire.
pub const DONE: &str = "{prices}:done:";

/// LIST: what operators have done, the last thing first, as JSON.
pub const AUDIT: &str = "{prices}:audit";

/// `HASH`es, one a source, whose name ends the key: how often it answered, how often it failed for
/// each reason, how many samples are from it, its last answer and its last failure.
pub const SOURCE: &str = "{prices}:source:";

/// LISTs, one a source, whose name ends the key: its last attempts, the last one first,
/// `<microseconds>:<1 if it answered, else 0>`.
pub const ATTEMPTS: &str = "{prices}:attempts:";

/// LIST: the rejected prices, the last one first, as JSON.
pub const REJECTED: &str = "{prices}:rejected";

/// `HASH`es, one a worker, whose name ends the key: a field a source, `closed`, `half_open` or the
/// unix second until which its circuit is open. They expire when the worker is silent.
pub const CIRCUITS: &str = "{prices}:circuits:";

/// The keys of version 0.1, see `upgrade`.
pub mod before {
    /// `HASH`es: sums over the samples.
    pub const ROLLUPS: [&str; 2] = ["{prices}:rollups", "{prices}:rollups:2"];
    /// ZSET: stretches of missed slots.
    pub const GAPS: &str = "{prices}:gaps";
    /// STRING: the length of slots in seconds.
    pub const SLOT: &str = "{prices}:slot";
    /// `HASH`es: the provenance of 1000 seconds each, the first of which ends the name.
    pub const QUOTES: &str = "{prices}:quotes:";
}

/// The key of [`PROCESS`] for a process.
pub fn process(name: &str) -> String {
    format!("{PROCESS}{name}")
}

/// The key of [`PROVENANCE`] for an hour.
pub fn provenance(hour: i64) -> String {
    format!("{PROVENANCE}{hour}")
}
