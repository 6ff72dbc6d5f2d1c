//! The job queue: apalis on Redis, with its known defects worked around.
//!
//! Every apalis setting and repair lives here; the rest of the crate sees jobs, an [`Enqueuer`],
//! [`work`], [`slot_starts`], and an [`Inspector`] for operators. May use the domain and the configuration.
//!
//! What was measured of apalis-redis 1.0, and where it is answered:
//! - any Redis error ends a worker for good: `worker` rebuilds it whole, with backoff
//! - its polling loses wake-ups, and a push publishes nothing: `wake`, [`Enqueuer`]
//! - it gives no heartbeat while it drains or a buffer is full, and it compares the clocks of
//!   machines: `heartbeat`
//! - a payload that cannot be read ends every worker that meets it: `payload`
//! - ids without data end every worker, 8,000 waiting jobs stop them for good: `tidy`
//! - finished jobs and gone workers are kept for ever: `tidy`, by the [`Caretaker`]
//! - it drops handlers on an error, runs panics and what kills its worker for ever: `run`

mod caretaker;
mod control;
mod enqueue;
mod heartbeat;
mod inspect;
mod job;
mod payload;
mod report;
mod run;
mod settings;
mod ticks;
mod tidy;
mod wake;
mod worker;

pub use caretaker::Caretaker;
pub use enqueue::{EnqueueError, Enqueued, Enqueuer};
pub use inspect::Inspector;
pub use job::{GiveUp, GivenUp, Job};
pub use report::{JobReport, JobState, Pause, QueueReport};
pub use settings::probes;
pub use ticks::slot_starts;
pub use wake::Pulse;
pub use worker::work;
