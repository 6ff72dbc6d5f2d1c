//! Cotiza records the price of Bitcoin in Argentine pesos every ten seconds and serves it.
//!
//! ```text
//! scheduler --tick--> Redis queue --job--> worker --HTTP--> sources
//!                                            |
//! client <--REST, events-- api <--history, changes-- Redis `prices`
//! ```
//!
//! # Map
//!
//! Imports point one way: a module may use the modules above it. `tests/structure.rs` checks this.
//!
//! | module | what is in it |
//! |---|---|
//! | [`backoff`], [`clock`], [`config`], [`connection`], [`http_client`], [`http_server`], [`json_locator`], [`metrics`], [`shutdown`], [`telemetry`] | the base, which every other module may use |
//! | [`domain`] | prices, slots, samples, ranges, pages, summaries: values without I/O |
//! | [`exchange`] | the sources of prices, and how one price is selected from their quotes |
//! | [`store`] | everything in Redis besides the queue; `store/keys.rs` names all keys |
//! | [`queue`] | apalis, and the workarounds for its defects |
//! | [`history`] | all recorded prices in memory, loaded from the store; answers all queries |
//! | [`jobs`] | `FetchBtcArs` and `Housekeeping`, and the list of jobs |
//! | [`api`] | the REST API: one file per resource |
//! | [`process`] | scheduler, worker, api, `up`, and the commands, which connect the modules above |
//!
//! `exchange`, `store` and `queue` do not use each other; neither do `jobs` and `api`.
//!
//! # Glossary
//!
//! One word per concept, in code, logs, metrics and documentation.
//!
//! | word | meaning |
//! |---|---|
//! | job | a unit of work in a queue, as plain data ([`queue::Job`]) |
//! | queue | the jobs of one kind in Redis, with the name of the job |
//! | worker | a process that takes jobs from the queues and runs them |
//! | scheduler | a process that enqueues a job at each tick |
//! | tick | the beginning of a slot, when the scheduler enqueues its job |
//! | slot | an interval of time (10 s by default) that gets at most one sample ([`domain::Slot`]) |
//! | sample | a recorded price and the time at which it was observed ([`domain::Sample`]) |
//! | observation | a sample and its provenance ([`domain::Observation`]) |
//! | source | an exchange that is queried for the price ([`exchange::PriceSource`]) |
//! | quote | the ask and the bid of a source at one moment ([`domain::Quote`]) |
//! | provenance | the source of a sample, with its ask and bid ([`domain::Provenance`]) |
//! | missed | a slot that ended without a sample is missed, with a reason ([`domain::MissedReason`]) |
//! | gap | consecutive missed slots ([`domain::Gap`]) |
//! | rejected price | a price that the [`domain::PriceFilter`] rejects: out of bounds, or an unconfirmed jump |
//! | hour | the samples of 3,600 seconds from a full unix hour on ([`store::Hour`]) |
//! | text form | samples as members of the sorted set `prices`, one per sample |
//! | block | the compressed samples of an hour; an hour with a current block is sealed (`store/block.rs`) |
//! | circuit breaker | decides whether requests are sent to a source ([`domain::CircuitState`]) |
//! | heartbeat | a message that a process or a worker of a queue sends regularly; without it, it counts as dead |
//! | orphaned job | a job whose worker is dead; another worker requeues it |
//! | poison job | a job that was started several times and whose workers always crashed; it is discarded |
//! | outage | a time in which Redis cannot be used ([`connection::is_outage`]) |
//!
//! # Walks through the code
//!
//! **From tick to sample.** [`queue::slot_starts`] yields each slot as it begins. [`process::scheduler`]
//! enqueues a [`jobs::FetchBtcArs`] for it ([`queue::Enqueuer`]). A [`process::worker`] takes the job:
//! `queue/worker.rs` builds the apalis worker, `queue/run.rs` runs the job. The job
//! (`jobs/fetch_btc_ars.rs`, `observe.rs`) queries [`exchange::Sources`], which selects a price, and calls
//! [`store::Store::record`]: the Lua script `store/record.lua` adds the sample to `prices` unless the slot has
//! one, and appends it to the stream of changes. If there is no price, [`store::Store::record_missed`] stores
//! the reason. When the hour has ended, [`jobs::Housekeeping`] seals it: `history/maintenance.rs` reads the
//! hour, and `store/replace_hour.lua` writes its block if the hour has not changed since.
//!
//! **From request to answer.** `http_server.rs` accepts the connection; `api.rs` has the routes and what
//! applies to all requests. `api/average_price.rs` parses the parameters (`api/params.rs`) and calls
//! [`history::History::total`]. `history/view.rs` adds the part of the first hour of the range, all whole
//! hours (`history/index.rs` has a tree of their summaries), and the part of the last hour. Redis is queried
//! only if one of these two hours is not in memory. A page (`api/ticker_list.rs`) works alike:
//! [`history::History::page`] converts range and page to ranks, finds the hour of the first rank in the tree,
//! and copies the samples from there; `api/links.rs` writes the links to other pages. A new price reaches the
//! history through `history/follow.rs`, and from there the event stream: `api/stream/feed.rs` gets the
//! outcomes of the next slots ([`history::History::outcomes`]) and wakes the clients of `api/stream.rs`.
//!
//! **An outage or failover of Redis.** `connection/health.rs` decides that a connection is unfit, and
//! `connection/shared.rs` opens another one: `connection/server.rs` queries the Sentinels, tries the addresses
//! and detects a cluster. `clock/follow.rs` queries the time of Redis every second in every process, and logs
//! the beginning and the end of the outage. Schedulers retry (`process/scheduler.rs`) and workers are rebuilt
//! (`queue/worker.rs`); `process/scheduler/lost.rs` records a reason for slots whose samples a failover has
//! lost. In the api, `history/follow.rs` fails to read changes and retries; meanwhile `history.rs` compares
//! the end of each range with the last synchronization: what cannot have changed since is answered as usual,
//! other answers are marked as stale, and refused after `api.stale_for`. Then the follower continues from its
//! position in the stream; if entries are missing, or the server is another one, `history/load.rs` loads
//! everything again.
//!
//! **How operators see it.** Every process sends a heartbeat every two seconds (`process/heartbeat.rs`) and
//! adds its [`metrics`] to the sums in Redis. [`queue::Inspector`] reads and pauses queues.
//! `api/operation/status.rs` combines all of it, for the page (`api/page.rs`) and for `cotiza status`
//! (`process/operator/status.rs`); `api/metrics.rs` exposes it to Prometheus.
//!
//! # Recipes
//!
//! - **A job**: a file in `src/jobs/` with a `struct` that implements [`queue::Job`] and
//!   [`jobs::ScheduledJob`] (see `src/jobs/housekeeping.rs`), and its name in `job_list!` in `src/jobs.rs`, in
//!   `QUEUES` in `src/api/documentation/accurate.rs` and in the ACL rule in the README.
//! - **A source**: JSON over HTTP needs no code, only `[sources.<name>]` in
//!   `migrations-free-config/default.toml`, with an answer in `tests/fixtures/` and a line in the test of
//!   `src/exchange/json.rs`. Anything else implements [`exchange::PriceSource`] in a file in `src/exchange/`,
//!   and is created in `Sources::with`.
//! - **An endpoint**: a file in `src/api/` with the handler and its response types beside it, its name in
//!   `Resources` and `service` in `src/api.rs`, and an example in `src/api/documentation/examples.json`. `make snapshots` accepts the changed
//!   OpenAPI document.
//! - **A configuration key**: a field in `src/config/sections.rs`, its default and description in
//!   `migrations-free-config/default.toml`, its bounds in `src/config/validate.rs`.
//! - **A reason for missed slots**: a row in `src/domain/missed_reason.rs`, a call of
//!   [`store::Store::record_missed`], and its texts and colour in `src/api/page/` (`texts.js`, `slots.js`,
//!   `style.css`).
//! - **A metric**: a variant of [`metrics::Metric`] in `src/metrics.rs` and a call of `count` or `measure`; a
//!   value that is read from Redis goes into `src/api/metrics/system.rs`. Alerts and their tests are in
//!   `docker/prometheus/`.
//! - **A Redis key**: its name and type in `src/store/keys.rs`. Changes of samples are Lua scripts, which also
//!   append to the stream of changes.
//!
//! # Everyday work
//!
//! - All tests, lints and checks: `make test`. One integration test: `cargo test --test tests <part of its
//!   name>`; one unit test: `cargo test --lib <part of its name>`. Integration tests start their own
//!   redis-server and HTTP servers.
//! - A running system: `make up SIMULATE=1`, then `cotiza status`, `cotiza queue ls`, `cotiza job ls`.
//! - The data: `redis-cli -p 6399` with the password in `data-simulated/redis-password`, and the keys in
//!   [`store::keys`]; for example `ZRANGE prices -5 -1 WITHSCORES`, `XREVRANGE {prices}:changes + - COUNT 5`,
//!   `HGETALL {prices}:source:buenbit`.
//! - Mutation tests: `make mutants FILES='src/domain/**'`. Survivors that are accepted have their reason in
//!   `.cargo/mutants.toml`.
//! - A release: set `version` in `Cargo.toml`, run `cargo update --workspace`, `make snapshots` and `.ci/run`
//!   (all checks), commit and tag. `cargo build --release --locked` builds the binary, `docker/Dockerfile` the
//!   image.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod connection;
pub mod http_client;
pub mod http_server;
pub mod json_locator;
pub mod metrics;
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
