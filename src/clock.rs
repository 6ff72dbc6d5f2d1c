//! The one reader of the system's clock. Depends on nothing.

use std::time::{Duration, SystemTime};

/// The time since the Unix epoch (UTC); zero on a machine whose clock stands before it.
pub fn since_epoch() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The current unix second (UTC).
pub fn unix_seconds() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}

/// The time from now to the given unix second; zero once it is reached.
pub fn until(unix_second: i64) -> Duration {
    u64::try_from(unix_second)
        .map(|second| Duration::from_secs(second).saturating_sub(since_epoch()))
        .unwrap_or_default()
}
