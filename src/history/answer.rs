//! The answers of a history: values, how current it is, how much it has, and errors.

use crate::store::StoreError;

/// The result of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// The value.
    pub value: T,
    /// Set if Redis is unavailable and the value may have changed since this unix second.
    pub until: Option<i64>,
}

/// The size of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// The number of samples.
    pub samples: u64,
    /// The unix second of the first sample.
    pub first: Option<i64>,
    /// The unix second of the last sample.
    pub last: Option<i64>,
    /// The memory that samples use, in bytes; summaries and the tree are not counted.
    pub memory: usize,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The history is being loaded.
    #[error("the recorded prices are being loaded")]
    Loading,
    /// Redis has been unavailable for too long, and the result may have changed since the last sync.
    #[error("Redis is unavailable; prices after unix second {known_until} are not known")]
    Stale {
        /// The unix second of the last sync.
        known_until: i64,
    },
    /// Samples in the range are lost.
    #[error("the block of the hour from unix second {hour} is damaged")]
    Damaged {
        /// The first unix second of the hour.
        hour: i64,
    },
    /// Redis failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How current a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It has not been loaded yet.
    Loading,
    /// It is in sync with Redis.
    Current {
        /// The current unix second.
        known_until: i64,
    },
    /// Redis is unavailable; all queries are still answered.
    Stale {
        /// The unix second of the last sync.
        known_until: i64,
    },
    /// Redis is unavailable; queries about ranges that end after the last sync fail.
    Expired {
        /// The unix second of the last sync.
        known_until: i64,
    },
}
