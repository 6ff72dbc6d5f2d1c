//! Cotiza records the price of Bitcoin in Argentine pesos every ten seconds and serves it.
//!
//! ```text
//! scheduler --tick--> Redis queue --job--> worker --HTTP--> exchange
//!                                            |
//! client <--REST-- api <---- Redis `prices` <-
//! ```
//!
//! The rooms, and who may use whom; imports point one way:
//!
//! - `config`, `telemetry`, `shutdown`, `clock`, `connection`, `http_client`, `place`: the ground,
//!   used by any room
//! - [`domain`]: prices, slots, samples, ranges, pages; pure
//! - [`exchange`], [`store`], [`queue`]: the world outside; they do not know each other
//! - [`jobs`], [`api`]: what is done with it; they do not know each other
//! - [`process`]: the processes, which wire the above

pub mod clock;
pub mod config;
pub mod connection;
pub mod http_client;
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
