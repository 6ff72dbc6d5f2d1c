//! The ledger's words: why a slot has no sample, how much of a range is covered, what is missing.

/// Why a slot ended without a sample, as somebody noticed it. A missed slot of which nobody tells
/// was not scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The exchange did not answer in time.
    ExchangeTimeout,
    /// The exchange could not be reached, or answered with an error.
    ExchangeError,
    /// The exchange answered something that is no price.
    BadAnswer,
    /// Its job was begun only after the slot was over.
    TooLate,
    /// The workers that ran its job died of it, or with it.
    WorkerLost,
    /// Redis could not be reached, or lost what it had recorded.
    RedisAway,
    /// The exchange answered a price that was not believed.
    PriceRejected,
    /// Its job waited until the slot was over, and no worker was alive.
    NoWorker,
    /// An operator had paused the queue, or removed the job.
    Paused,
}

/// Missed slots by reason, in the order of [`Reason::ALL`].
pub type ByReason = [u64; Reason::ALL.len()];

impl Reason {
    /// All reasons that are told.
    pub const ALL: [Self; 9] = [
        Self::ExchangeTimeout,
        Self::ExchangeError,
        Self::BadAnswer,
        Self::TooLate,
        Self::WorkerLost,
        Self::RedisAway,
        Self::PriceRejected,
        Self::NoWorker,
        Self::Paused,
    ];

    /// Its name, as people and programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExchangeTimeout => "exchange_timeout",
            Self::ExchangeError => "exchange_error",
            Self::BadAnswer => "bad_answer",
            Self::TooLate => "too_late",
            Self::WorkerLost => "worker_lost",
            Self::RedisAway => "redis_away",
            Self::PriceRejected => "price_rejected",
            Self::NoWorker => "no_worker",
            Self::Paused => "paused",
        }
    }
}

/// Missed slots by reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missed {
    /// Those of which somebody told the reason, in the order of [`Reason::ALL`].
    pub told: ByReason,
    /// Those of which nobody told.
    pub not_scheduled: u64,
}

impl Missed {
    /// So many missed slots, of which some were told of.
    pub fn of(total: u64, told: ByReason) -> Self {
        Self { told, not_scheduled: total.saturating_sub(told.iter().sum()) }
    }

    /// All missed slots.
    pub fn total(&self) -> u64 {
        self.told.iter().sum::<u64>() + self.not_scheduled
    }
}

/// How much of a range was recorded: each expected slot is recorded, missed or pending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The slots that began in the range, from the first one ever recorded up to now.
    pub expected: u64,
    /// Those with a sample.
    pub recorded: u64,
    /// Those that ended without one.
    pub missed: Missed,
    /// The one that is still open, if it has no sample yet.
    pub pending: u64,
}

impl Coverage {
    /// Recorded slots among those that have ended, 0 to 1; `None` of no slots.
    pub fn share(&self) -> Option<f64> {
        let ended = self.expected - self.pending;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53 slots")]
        (ended > 0).then(|| self.recorded as f64 / ended as f64)
    }
}

/// A stretch of missed slots, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first unix second of the first missed slot.
    pub from: i64,
    /// The first unix second after the last one.
    pub until: i64,
    /// The slots by reason.
    pub missed: Missed,
}
