//! When an idle worker looks into its queue: on a message, with a timer as the net.

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

/// How often a worker looks without being told.
const TIMER: Duration = Duration::from_secs(1);
/// A silent subscription is asked for a sign of life after this time, and must give it within the same.
const PING_AFTER: Duration = Duration::from_secs(2);
/// A message may come while a look is under way that missed the job: look again this much later.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// Whether a worker is at work, for health checks. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Work>);

#[derive(Debug, Default)]
struct Work {
    last_look: Mutex<Option<Instant>>,
    jobs: AtomicUsize,
}

/// A job that runs, for as long as it is held.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Work>);

impl Pulse {
    /// Whether it has looked into its queue lately, or runs a job: one that runs as many as it may
    /// does not look for more.
    pub fn is_within(&self, time: Duration) -> bool {
        let looked = *self.0.last_look.lock();
        looked.is_some_and(|at| at.elapsed() <= time) || self.0.jobs.load(Ordering::Relaxed) > 0
    }

    pub(super) fn begin(&self) -> InFlight {
        self.0.jobs.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.0))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.jobs.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the listener tells the strategy.
#[derive(Debug, Default)]
pub(super) struct Signal {
    told: AtomicBool,
    waker: AtomicWaker,
}

/// Looks when told by the listener, and once a second.
pub(super) struct LookWhenTold {
    signal: Arc<Signal>,
    timer: Pin<Box<Sleep>>,
    pulse: Pulse,
}

impl LookWhenTold {
    pub(super) fn new(signal: Arc<Signal>, pulse: Pulse) -> Self {
        Self { signal, timer: Box::pin(sleep(TIMER)), pulse }
    }
}

impl PollStrategy for LookWhenTold {
    /// Called before each look. It must leave the waker registered with both the timer and the
    /// signal, whatever becomes of the look: apalis's own strategies do not, and fall asleep.
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        self.signal.waker.register(cx.waker());
        let now = Instant::now();
        if self.signal.told.swap(false, Ordering::AcqRel) {
            self.timer.as_mut().reset(now + SECOND_LOOK);
        } else if self.timer.deadline() > now + SECOND_LOOK {
            // This is a look, whatever it is for: the next one by the timer is due later.
            self.timer.as_mut().reset(now + TIMER);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + TIMER);
        }
        Poll::Ready(Some(()))
    }

    fn on_poll(&mut self, _: &PollSnapshot) {
        *self.pulse.0.last_look.lock() = Some(Instant::now());
    }
}

/// Listens for announced jobs for ever; subscribes again when the connection breaks.
pub(super) async fn listen(server: Server, channel: String, signal: Arc<Signal>) {
    loop {
        if let Err(error) = listen_once(&server, &channel, &signal).await {
            tracing::debug!(%error, "not listening for jobs; looking once a second instead");
        }
        sleep(TIMER).await;
    }
}

/// Ends when the connection is closed or does not answer.
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
        signal.told.store(true, Ordering::Release);
        signal.waker.wake();
    }
}
