//! What a history answers besides values: how current it is, how much it has, why it does not answer.

use crate::store::StoreError;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<T> {
    /// The answer.
    pub value: T,
    /// Set if Redis is away and the answer may have changed since this unix second.
    pub until: Option<i64>,
}

/// How much a history has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Samples.
    pub samples: u64,
    /// The unix second of the first sample.
    pub first: Option<i64>,
    /// The unix second of the last sample.
    pub last: Option<i64>,
    /// The bytes of memory that samples take; summaries and the tree are not counted.
    pub memory: usize,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The history is being loaded.
    #[error("the recorded prices are being loaded")]
    Loading,
    /// Redis has been away for too long for an answer that may have changed since.
    #[error("nothing is known after the unix second {known_until}")]
    Stale {
        /// When there was contact for the last time.
        known_until: i64,
    },
    /// Samples that are needed are lost.
    #[error("the block of the hour from unix second {hour} is damaged")]
    Damaged {
        /// The first unix second of their hour.
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
    /// It is as Redis.
    Current {
        /// The current unix second.
        known_until: i64,
    },
    /// Redis is away; everything is answered.
    Stale {
        /// The unix second of the last contact.
        known_until: i64,
    },
    /// Redis is away; ranges that end after the last contact are not answered any more.
    Refusing {
        /// The unix second of the last contact.
        known_until: i64,
    },
}
