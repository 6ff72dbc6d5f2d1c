//! The names of all keys in Redis, each with its type. The queue's own are apalis-redis's.

/// ZSET, the truth: one member a sample, `<price>:<unix seconds>`, its score the unix second
/// at which the price was observed. The old stack wrote members without ':'.
pub const PRICES: &str = "prices";

/// ZSET: one member a scheduler, `<host>-<pid>`, its score the unix second it last did its work.
pub const SCHEDULERS_SEEN: &str = "{prices}:seen:scheduler";

/// ZSET: one member a worker, `<host>-<pid>`, its score the unix second it last did its work.
pub const WORKERS_SEEN: &str = "{prices}:seen:worker";
