//! The job queue: apalis on Redis, with workarounds for its known defects.
//!
//! Every apalis setting and workaround is here. The rest of the crate uses jobs, an [`Enqueuer`],
//! [`work`], [`slot_starts`], and an [`Inspector`] for operators. May use the domain and the
//! configuration.
//!
//! Measured defects of apalis-redis 1.0, and the module that works around each:
//! - any Redis error ends a worker for good: `worker` builds a new one, with backoff
//! - its polling misses wake-ups, and a push publishes no message: `wake`, [`Enqueuer`]
//! - it sends no heartbeat while it drains or its buffer is full, and it compares the clocks of
//!   different machines: `heartbeat`
//! - a payload that cannot be decoded ends every worker that takes it: `payload`
//! - ids without data end every worker, and 8,000 waiting jobs block them: `backlog`
//! - finished jobs are kept forever: `janitor`; so are workers that have ended: `heartbeat`
//! - it drops running jobs on an error, and runs jobs that panic or crash their worker again and
//!   again: `run`

mod backlog;
mod control;
mod enqueue;
mod heartbeat;
mod inspect;
mod janitor;
mod job;
mod payload;
mod report;
mod run;
mod settings;
mod ticks;
mod wake;
mod worker;

pub use enqueue::{EnqueueError, Enqueued, Enqueuer};
pub use inspect::Inspector;
pub use janitor::Janitor;
pub use job::{DiscardReason, Job, JobError};
pub use report::{JobReport, JobState, Pause, QueueReport};
pub use settings::probe_keys;
pub use ticks::slot_starts;
pub use wake::Liveness;
pub use worker::work;
