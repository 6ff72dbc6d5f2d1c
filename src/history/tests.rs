//! Tests of the history without a real Redis: each answer against a naive model, and exact examples.
//!
//! [`samples`] and [`histories`] build what is tested, [`naive`] is the model, [`arbitrary`] generates
//! cases. [`fake_redis`] has the few commands of Redis that a history needs beyond its memory.

mod arbitrary;
mod fake_redis;
mod histories;
mod naive;
mod samples;

mod batches;
mod candles;
mod comparing;
mod coverage;
mod eviction;
mod following;
mod freshness;
mod gaps;
mod index;
mod lists;
mod loading;
mod maintenance;
mod outcomes;
mod points;
mod statistics;
mod summaries;
mod tree;
mod weighted;
