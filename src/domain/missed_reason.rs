//! The table of the reasons for which slots are missed. Everything that needs all reasons is made from
//! it: the enum, its names, the Redis keys, the fields of the API.

/// Calls a macro with the table. A row has a description, the variant of [`MissedReason`], and its name
/// in Redis, in the API and in metrics.
macro_rules! with_missed_reasons {
    ($macro:ident) => {
        $macro! {
            /// The exchange did not answer in time.
            ExchangeTimeout exchange_timeout,
            /// The exchange could not be reached, or answered with an error status.
            ExchangeError exchange_error,
            /// The exchange answered, but not with a price.
            BadAnswer bad_answer,
            /// The job was started only after the slot had ended.
            TooLate too_late,
            /// The workers that ran the job crashed or were killed.
            WorkerLost worker_lost,
            /// Redis was unavailable, or lost the sample in a failover.
            RedisAway redis_away,
            /// The exchange answered with a price that was rejected as implausible.
            PriceRejected price_rejected,
            /// The job waited until the slot had ended: no worker was running.
            NoWorker no_worker,
            /// An operator had paused the queue, or removed the job.
            Paused paused,
        }
    };
}
pub(crate) use with_missed_reasons;

macro_rules! missed_reason {
    ($($(#[$description:meta])* $variant:ident $name:ident),+ $(,)?) => {
        /// Why a slot ended without a sample, as recorded by the process that noticed it. A missed slot
        /// without a recorded reason was not scheduled.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum MissedReason {
            $($(#[$description])* $variant),+
        }

        impl MissedReason {
            /// All reasons. Their order here is the order of all arrays by reason.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The name of the reason in Redis, in the API and in metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name)),+
                }
            }
        }
    };
}
with_missed_reasons!(missed_reason);

impl MissedReason {
    /// The reasons for which a request to a source can fail.
    pub const OF_SOURCES: [Self; 4] =
        [Self::ExchangeTimeout, Self::ExchangeError, Self::BadAnswer, Self::PriceRejected];
}

/// Numbers of missed slots, in the order of [`MissedReason::ALL`].
pub type MissedByReason = [u64; MissedReason::ALL.len()];

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are part of the API and of Redis keys: they never change.
    #[test]
    fn reasons_have_the_names_of_the_contract() {
        let names = MissedReason::ALL.map(MissedReason::name);
        let expected = [
            "exchange_timeout",
            "exchange_error",
            "bad_answer",
            "too_late",
            "worker_lost",
            "redis_away",
            "price_rejected",
            "no_worker",
            "paused",
        ];
        assert_eq!(names, expected);
    }
}
