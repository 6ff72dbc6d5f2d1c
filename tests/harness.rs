//! The test harness: a Redis, an exchange, an API and processes. All of them are stopped when the test ends.

mod api;
mod builders;
mod exchange;
mod fake_time;
mod faulty_server;
mod forwarder;
mod market;
mod naive;
mod probe;
mod process;
mod process_stats;
mod recorder;
mod redis_server;
mod server_process;
mod source;
mod stack;
mod topology;

use std::{future::Future, net::TcpListener, time::Duration};

use tokio::time::{Instant, sleep};

pub use api::{Api, ApiResponse, Event, Events, get_text};
pub use builders::{
    REASONS, all_time, between, members, observation, observations, page, quoted, reasons, samples,
    slots_of, text_kept_for, unique_members,
};
pub use exchange::FakeExchange;
pub use fake_time::wrong_clock;
pub use faulty_server::{Fault, FaultyServer};
pub use forwarder::Forwarder;
pub use market::Market;
pub use naive::NaiveModel;
pub use probe::{Act, Probe, QueueBench, Unreadable};
pub use process::{Cotiza, Output, run};
pub use process_stats::{env_number, open_files, resident_kb};
pub use redis_server::{Database, RedisServer, UNLIMITED};
pub use source::rust_files;
pub use stack::Stack;
pub use topology::{Cluster, Node, SentinelGroup, redis_command};

/// Waits until the condition holds and checks it every 20 ms; fails the test after `limit`.
pub async fn eventually<F: Future<Output = bool>>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "did not happen within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A time limit for what normally takes moments, long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Returns a port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
