//! The names of all keys in Redis, each with its type. The queue's own are
//! apalis-redis's: `fetch_btc_ars:*`, `housekeeping:*`, and its list of queues,
//! `core:apalis:queues:list`.

/// ZSET, the truth: one member a sample, `<price>:<unix seconds>`, its score the unix second
/// at which the price was observed. The old stack wrote members without ':'.
pub const PRICES: &str = "prices";

/// HASH, an index over `prices`: a field a node, `<level>:<its first second>`, such as
/// `5m:1717182000`, with its sums, and one with `:extremes` at its end, see `node` for what is in
/// them; and `frame`, `<changed>:<first>:<last>:<trimmed>`: the microsecond of the last change, the
/// seconds `[first, last)` that there may be nodes for, and the second before which samples have
/// been trimmed, of which only the rollups are left. It ends in the number of this format: who
/// writes another one, as during an upgrade, must not meet it under the same name.
pub const ROLLUPS: &str = "{prices}:rollups:2";

/// ZSETs, one a reason in the order of `Reason::ALL`: one member a missed slot, its first unix
/// second, which is its score too.
pub const MISSED: [&str; 7] = [
    "{prices}:missed:exchange_timeout",
    "{prices}:missed:exchange_error",
    "{prices}:missed:bad_answer",
    "{prices}:missed:too_late",
    "{prices}:missed:worker_lost",
    "{prices}:missed:redis_away",
    "{prices}:missed:price_rejected",
];

/// ZSET: one member a stretch between recorded slots, `<first second>:<first second after it>`,
/// its score the first second.
pub const GAPS: &str = "{prices}:gaps";

/// STRING: the seconds a slot in which ledger and rollups are counted.
pub const SLOT: &str = "{prices}:slot";

/// ZSET: one member a scheduler, `<host>-<pid>`, its score the unix second it last did its work.
pub const SCHEDULERS_SEEN: &str = "{prices}:seen:scheduler";

/// ZSET: one member a worker, `<host>-<pid>`, its score the unix second it last did its work.
pub const WORKERS_SEEN: &str = "{prices}:seen:worker";

/// `HASH`es, one for each 1000 seconds, whose first one ends the name: a field a sample, its
/// second, with where its price came from, `<sources>:<ask>:<bid>`.
pub const QUOTES: &str = "{prices}:quotes:";

/// `HASH`es, one a source, whose name ends the key: how often it answered, how often it failed for
/// each reason, how many samples are from it, its last answer and its last failure.
pub const SOURCE: &str = "{prices}:source:";

/// LISTs, one a source, whose name ends the key: its last attempts, the last one first,
/// `<microseconds>:<1 if it answered, else 0>`.
pub const ATTEMPTS: &str = "{prices}:attempts:";

/// LIST: the prices that were not believed, the last one first, as JSON.
pub const REJECTED: &str = "{prices}:rejected";

/// `HASH`es, one a worker, whose name ends the key: a field a source, `closed`, `half_open` or the
/// unix second until which it is left alone. They expire when the worker is silent.
pub const CIRCUITS: &str = "{prices}:circuits:";
