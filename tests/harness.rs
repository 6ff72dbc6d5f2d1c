//! What tests stand on: a Redis, an exchange, an API, processes. All of it ends with the test.

mod api;
mod exchange;
mod fake_time;
mod forwarder;
mod guarded;
mod market;
mod measured;
mod naive;
mod probe;
mod process;
mod recorder;
mod redis_server;
mod rogue;
mod stack;
mod topology;

use std::{future::Future, net::TcpListener, time::Duration};

use tokio::time::{Instant, sleep};

pub use api::{Answer, Api, Event, get_text};
pub use exchange::FakeExchange;
pub use fake_time::wrong_clock;
pub use forwarder::Forwarder;
pub use market::Market;
pub use measured::{open_files, resident, setting};
pub use naive::Naive;
pub use probe::{Act, Probe, QueueBench, Unreadable};
pub use process::{Cotiza, Output, run};
pub use recorder::record;
pub use redis_server::{Database, LIMITS, RedisServer, observation};
pub use rogue::{Rogue, Wrong};
pub use stack::Stack;
pub use topology::{Cluster, Node, Watched, ask};

/// Waits until the condition holds, looking every 20 ms; fails the test after `limit`.
pub async fn eventually<F: Future<Output = bool>>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A limit for what takes moments, generous for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
