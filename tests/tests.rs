//! All integration tests: real processes, a real redis-server, real HTTP, on loopback only.
//!
//! - `average_price`, `ticker_list`, `ticker_price`, `errors`: the API as its clients see it
//! - `candles`: candles against brute force, and as clients ask for them
//! - `freshness`: ages, the price at a time, the last day, means weighted by time, summaries
//! - `formats`: CSV and NDJSON, orders, times as people write them
//! - `stream`: every slot is told once, in order
//! - `compatible`: the endpoints of other APIs
//! - `conventions`: what all answers have in common
//! - `ledger`: coverage and gaps against a naive model
//! - `misbehaving`: sources that answer in every wrong way
//! - `openapi`: the document that the API publishes, which describes what it answers; `--help`
//! - `charts`: the chart and the badge
//! - `operation`: queues, jobs, processes, status
//! - `operators`: the commands for operators
//! - `page`: the page at / and the runbook
//! - `prices`: the commands for samples
//! - `sources`: several sources, and what is believed
//! - `source_reports`: what is known of each source, and of each sample's
//! - `history`: every answer against a naive model, within any limit of memory
//! - `following`: a history equals Redis again after whatever happened to Redis
//! - `sealing`: hours are sealed, lose their text, get it back; damaged blocks
//! - `retention`: old hours are deleted
//! - `stale`: what is answered while Redis is away
//! - `upgrade`: data of version 0.1 and of the old stack
//! - `recording`: a slot has one sample
//! - `fetch`: the job, against an exchange that misbehaves
//! - `queue`: what the queue promises
//! - `queue_defects`: each defect of the library that is guarded against
//! - `impaired`: a Redis that is full, read-only, busy, or has foreign data
//! - `connections`: connections that are no good any more
//! - `sentinel`: a primary that Sentinels watch
//! - `cluster`: a Redis Cluster
//! - `tls`: a Redis that is reached by TLS
//! - `users`: users and permissions of Redis
//! - `doctor`: what is checked about Redis
//! - `once`: requests whose answers are lost
//! - `outages`: a Redis that stalls, restarts or stays away
//! - `processes`: each role as the real binary, killed and replaced
//! - `clients`: clients of the API that are slow, silent, too many or too greedy
//! - `clocks`: processes, and a Redis, with a wrong clock
//! - `up`: the one-machine supervisor
//! - `fuzz`: mutated requests over sockets
//! - `soak`: everything for a while; memory, files and keys stay flat
//! - `chaos`: everything fails at random, and the books are checked
//! - `command_line`: arguments, exit codes, configuration
//! - `readme`: what the documentation claims
//! - `structure`: which room of the source may use which

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected is to fail, and nobody imports from here"
)]

mod harness;

mod average_price;
mod candles;
mod chaos;
mod charts;
mod clients;
mod clocks;
mod cluster;
mod command_line;
mod compatible;
mod connections;
mod conventions;
mod doctor;
mod errors;
mod fetch;
mod following;
mod formats;
mod freshness;
mod fuzz;
mod history;
mod impaired;
mod ledger;
mod misbehaving;
mod once;
mod openapi;
mod operation;
mod operators;
mod outages;
mod page;
mod prices;
mod processes;
mod queue;
mod queue_defects;
mod readme;
mod recording;
mod retention;
mod sealing;
mod sentinel;
mod soak;
mod source_reports;
mod sources;
mod stale;
mod stream;
mod structure;
mod ticker_list;
mod ticker_price;
mod tls;
mod up;
mod upgrade;
mod users;
