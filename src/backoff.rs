//! The delays between retries. Depends on no other module.

use std::time::Duration;

use backon::ExponentialBuilder;

/// A delay of `first` that doubles with each retry up to `longest`, with jitter, without an end: the
/// caller decides when to stop.
pub fn exponential(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
}
