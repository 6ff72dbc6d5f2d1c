//! All integration tests: real processes, real redis-servers and real HTTP, on the loopback interface only.
//!
//! - `average_price`, `ticker_list`, `ticker_price`, `errors`: endpoints for prices, and errors of the API
//! - `candles`: candles against a naive model, and their parameters
//! - `freshness`: ages of prices, the price at a time, the last 24 hours, time-weighted means, summaries
//! - `formats`: CSV and NDJSON, sort order, formats of times
//! - `stream`: the event stream sends every slot once, in order
//! - `contract`: the names of all keys in Redis
//! - `compatible`: endpoints that are compatible with other APIs
//! - `conventions`: what all responses have in common
//! - `links`: links to other pages, behind proxies and with each form of a host
//! - `coverage`: coverage and gaps against a naive model
//! - `slot_lengths`: coverage and gaps when the length of slots changes
//! - `misbehaving`: sources with faulty responses
//! - `openapi`: the OpenAPI document against real responses, and the output of `--help`
//! - `charts`: the chart and the badge
//! - `operation`: queues and jobs
//! - `status`: processes, problems and metrics
//! - `operators`: the commands for operators
//! - `page`: the page at / and the runbook
//! - `prices`: the commands of `cotiza prices`
//! - `import`: imports of samples
//! - `sources`: several sources, and which prices are accepted
//! - `source_reports`: reports about sources, and the provenance of samples
//! - `history`: queries against a naive model, with any memory limit
//! - `following`: a history equals the data of Redis after any change and any fault of Redis
//! - `sealing`: hours are sealed, lose their text form and get it back
//! - `damaged_blocks`: damaged blocks of hours with and without text form
//! - `retention`: old hours are deleted
//! - `stale`: responses of the API while Redis is unavailable
//! - `upgrade`: upgrade of the data of version 0.1
//! - `recording`: each slot has at most one sample
//! - `fetch`: the job that fetches prices, with a faulty exchange
//! - `queue`: the guarantees of the queue
//! - `queue_defects`: workarounds for defects of the queue library
//! - `impaired`: a Redis that is full, read-only or busy, or contains unexpected data
//! - `connections`: connections that no longer work
//! - `sentinel`: a primary that is monitored by Sentinels
//! - `cluster`: a Redis Cluster
//! - `tls`: a Redis with TLS
//! - `users`: users and permissions of Redis
//! - `doctor`: the checks of `cotiza doctor`
//! - `once`: requests to Redis whose responses are lost
//! - `outages`: a Redis that hangs, restarts or is unavailable
//! - `processes`: each role as a real process that is killed and replaced
//! - `clients`: clients of the API that are slow, silent, too many or too active
//! - `clocks`: processes and a Redis with a wrong clock
//! - `up`: `cotiza up`, which runs everything on one machine
//! - `up_redis`: the Redis of `cotiza up`
//! - `fuzz`: randomly mutated HTTP requests
//! - `soak`: a longer run in which memory, open files and keys must not grow
//! - `chaos`: random faults, after which every slot must be accounted for
//! - `command_line`: arguments, exit codes, configuration
//! - `readme`: the documentation against the real behaviour
//! - `structure`: which module of the source may use which other modules

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test should panic on an unexpected result, and no other crate uses this one"
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
mod contract;
mod conventions;
mod coverage;
mod damaged_blocks;
mod doctor;
mod errors;
mod fetch;
mod following;
mod formats;
mod freshness;
mod fuzz;
mod history;
mod impaired;
mod import;
mod links;
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
mod slot_lengths;
mod soak;
mod source_reports;
mod sources;
mod stale;
mod status;
mod stream;
mod structure;
mod ticker_list;
mod ticker_price;
mod tls;
mod up;
mod up_redis;
mod upgrade;
mod users;
