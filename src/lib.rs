//! Cotiza records the price of Bitcoin in Argentine pesos every ten seconds and serves it.
//!
//! ```text
//! scheduler --tick--> Redis queue --job--> worker --HTTP--> exchange
//!                                                    |
//! client <--REST, events-- api <--history, changes-- Redis `prices`
//! ```
//!
//! The modules, and which may use which; imports point one way:
//!
//! - `config`, `telemetry`, `shutdown`, `clock`, `connection`, `http_client`, `http_server`, `metrics`,
//!   `place`: the base, used by all others
//! - [`domain`]: prices, slots, samples, ranges, pages, summaries; pure
//! - [`exchange`], [`store`], [`queue`]: the outside; they do not know each other
//! - [`history`]: all recorded prices in memory, loaded from the store
//! - [`jobs`], [`api`]: what is done with them; they do not know each other
//! - [`process`]: the processes, which wire the above
//!
//! # Six walks through the code
//!
//! **Recording a sample.** [`process::scheduler`] enqueues a [`jobs::FetchBtcArs`] when a slot
//! begins. A [`process::worker`] takes it, asks the [`exchange::Sources`] and calls
//! [`store::Store::record`]: one Lua script, `store/record.lua`, adds the text to `prices` unless
//! the slot has a sample, and appends the sample to the stream of changes. When the hour has
//! ended, [`jobs::Housekeeping`] seals it: `history/maintenance.rs` reads the hour, and
//! `store/replace_hour.lua` writes its block if the hour has not changed since.
//!
//! **Computing a mean.** `api/average_price.rs` calls [`history::History::total`]. `history/view.rs`
//! adds up the part of the range's first hour, all whole hours (`history/index.rs` has a tree of
//! their summaries), and the part of its last hour. Nothing is waited for, unless one of the two
//! hours is not in memory: then it is read from Redis.
//!
//! **Serving a page.** `api/ticker_list.rs` calls [`history::History::page`]. `history/view.rs` turns
//! range and page into ranks, finds the hour of the first rank in the tree, and copies rows from
//! there on. `api/links.rs` writes the links to the pages before and after.
//!
//! **Telling clients of a new price.** The follower (`history/follow.rs`) takes in the change and gives
//! notice. `api/stream/feed.rs` asks [`history::History::outcomes`] what became of the next slots, writes
//! an event for each, and wakes the clients of `api/stream.rs`. Each of them is at a slot of its own: one
//! that comes back late reads what it has missed from the history.
//!
//! **Telling operators how it runs.** Every process says every two seconds that it is at work
//! (`process/presence.rs`), and sends what it has counted ([`metrics`]) to be added up in Redis.
//! [`queue::Inspector`] reads the queues, and pauses them. `api/operation/status.rs` puts all of it
//! together, for the page (`api/page.rs`) and for `cotiza status` (`process/operator/status.rs`) alike;
//! `api/metrics.rs` tells it to a Prometheus.
//!
//! **A Redis outage or failover.** `connection/health.rs` decides that a connection is unfit, and
//! `connection/shared.rs` opens the next one: `connection/server.rs` asks the Sentinels, tries the addresses
//! and recognises a cluster. `clock/follow.rs` asks Redis for the time every second in every process, and logs
//! that it is away. Workers and schedulers wait for Redis and go on; `process/scheduler/lost.rs` gives a reason
//! to slots whose samples a failover has lost. In the api,
//! `history/follow.rs` fails to read changes and tries again; meanwhile
//! `history.rs` compares the end of each range with the last contact: what cannot have changed
//! since is answered as always, the rest is marked, and after a while refused. When Redis is back,
//! the follower continues at its position in the stream; if entries are missing, or it is another
//! server, `history/load.rs` loads everything again.

pub mod clock;
pub mod config;
pub mod connection;
pub mod http_client;
pub mod http_server;
pub mod metrics;
pub mod place;
pub mod shutdown;
pub mod telemetry;

pub mod domain;

pub mod exchange;
pub mod queue;
pub mod store;

pub mod history;

pub mod api;
pub mod jobs;

pub mod process;
