//! The polling of idle workers: they poll when a job is announced, and periodically in case an announcement
//! is lost.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::{PollSnapshot, PollStrategy};
use futures_util::{StreamExt, task::AtomicWaker};
use parking_lot::Mutex;
use redis::{RedisResult, Value};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::connection::Server;

/// How often a worker polls without an announcement.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// A subscription without messages is pinged after this time, and must respond within the same time.
const PING_AFTER: Duration = Duration::from_secs(2);
/// The time after which a worker polls again after an announcement: the first poll may have begun before the
/// job was in the queue.
const POLL_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Whether the worker of a queue polls it or runs jobs, for health checks. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<Activity>);

#[derive(Debug, Default)]
struct Activity {
    last_poll: Mutex<Option<Instant>>,
    running_jobs: AtomicUsize,
}

/// Counts as a running job until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Liveness {
    /// Returns whether the worker has polled its queue within the given time or runs a job: while a worker
    /// runs its maximum number of jobs, it does not poll.
    pub fn is_within(&self, time: Duration) -> bool {
        let polled = *self.0.last_poll.lock();
        polled.is_some_and(|at| at.elapsed() <= time)
            || self.0.running_jobs.load(Ordering::Relaxed) > 0
    }

    /// Counts a running job until the result is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.0.running_jobs.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.0))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running_jobs.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Raised by the listener when a job is announced.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_raised: AtomicBool,
    waker: AtomicWaker,
}

/// Makes a worker poll when the signal is raised, and once a second.
pub(super) struct PollOnSignal {
    signal: Arc<Signal>,
    timer: Pin<Box<Sleep>>,
    liveness: Liveness,
}

impl PollOnSignal {
    pub(super) fn new(signal: Arc<Signal>, liveness: Liveness) -> Self {
        Self { signal, timer: Box::pin(sleep(POLL_EVERY)), liveness }
    }
}

impl PollStrategy for PollOnSignal {
    /// Called before each poll. It must always leave the waker registered with both the timer and the
    /// signal. The strategies of apalis do not, and stop polling.
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        self.signal.waker.register(cx.waker());
        let now = Instant::now();
        if self.signal.is_raised.swap(false, Ordering::AcqRel) {
            self.timer.as_mut().reset(now + POLL_AGAIN_AFTER);
        } else if self.timer.deadline() > now + POLL_AGAIN_AFTER {
            // Any poll postpones the next periodic one.
            self.timer.as_mut().reset(now + POLL_EVERY);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + POLL_EVERY);
        }
        Poll::Ready(Some(()))
    }

    fn on_poll(&mut self, _: &PollSnapshot) {
        *self.liveness.0.last_poll.lock() = Some(Instant::now());
    }
}

/// Raises the signal when a job is announced; subscribes again if the connection breaks. Never returns.
pub(super) async fn listen(server: Server, channel: String, signal: Arc<Signal>) {
    loop {
        if let Err(error) = listen_once(&server, &channel, &signal).await {
            tracing::debug!(%error, "cannot listen for new jobs; polling once a second instead");
        }
        sleep(POLL_EVERY).await;
    }
}

/// Raises the signal for each message. Returns if the connection is closed or does not respond.
async fn listen_once(server: &Server, channel: &str, signal: &Signal) -> RedisResult<()> {
    let (mut sink, mut messages) = server.subscribe(channel).await?.split();
    loop {
        let Ok(next) = timeout(PING_AFTER, messages.next()).await else {
            let pong = timeout(PING_AFTER, sink.ping::<Value>()).await.map_err(io::Error::from)?;
            pong?;
            continue;
        };
        if next.is_none() {
            return Ok(());
        }
        signal.is_raised.store(true, Ordering::Release);
        signal.waker.wake();
    }
}
