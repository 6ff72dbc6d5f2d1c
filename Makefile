# What people and CI run. The first two targets set everything up by themselves.

SHELL := /bin/sh
SIMULATE ?=
MINUTES ?= 1
SEED ?=
REQUESTS ?= 100000

# Anything else than 1 would silently ask the real exchange.
ifneq ($(filter-out 1,$(SIMULATE)),)
$(error SIMULATE=$(SIMULATE) means nothing: give SIMULATE=1, or leave it out)
endif

.PHONY: help up install test test-compose test-clients test-observe screenshots fmt lint doc needs needs-test snapshots bench-store bench-stream bench-queue bench-failover test-servers chaos fuzz soak

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

up: needs ## install what is missing, build, and run everything (SIMULATE=1: without internet)
	cargo build --release --locked
	exec "$${CARGO_TARGET_DIR:-target}"/release/cotiza up $(if $(filter 1,$(SIMULATE)),--simulate)

install: needs ## put cotiza into ~/.cargo/bin, so that its commands can be called by name
	cargo install --locked --path .

test: needs-test fmt lint doc ## what CI runs first: formatting, lints, documentation, all tests
	cargo test --locked

test-compose: ## the containers, on an engine: build, record, kill, cut off, back up (skipped without one)
	@tests/compose/run.sh

test-clients: needs ## Python, generated and browser clients against a running api (needs python3)
	cargo build --locked --bins
	@tests/conformance/run.sh

test-observe: needs ## alerts and dashboard against a running Prometheus and real faults (skipped without prometheus)
	cargo build --locked --bins
	@tests/observe/run.sh

test-servers: needs ## all roles on Redis 6.2, 8 and Valkey 8, 9 (needs python3; a server that cannot be had is skipped)
	cargo build --locked --bins
	@python3 tests/failover/servers.py $$(tests/failover/fetch_servers.sh "$${CARGO_TARGET_DIR:-target}/servers")

screenshots: needs ## photograph the page for the README (needs python3 and Chromium)
	cargo build --locked --bins
	@tests/conformance/run.sh --screenshots

fmt: ## is the source formatted?
	cargo fmt --check

lint: ## no warning of the compiler or of clippy
	cargo clippy --locked --all-targets -- --deny warnings

doc: ## no warning in the documentation
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items

needs-test:
	@docker/install-needs.sh test

needs: ## install redis-server and a C compiler if there is none
	@docker/install-needs.sh

bench-store: needs ## questions over HTTP at 1e3 to 1e7 samples, memory, import and export
	@tests/bench/store.sh

bench-stream: needs ## many clients of the stream: memory, delay (CLIENTS="100 10000")
	@tests/bench/stream.sh

chaos: needs ## everything fails at random for MINUTES (SEED repeats a run)
	CHAOS_MINUTES=$(MINUTES) CHAOS_SEED=$(SEED) cargo test --locked --test tests chaos -- --nocapture

fuzz: needs ## mutated REQUESTS over sockets: no 5xx, no memory is kept (SEED repeats a run)
	FUZZ_REQUESTS=$(REQUESTS) FUZZ_SEED=$(SEED) cargo test --release --locked --test tests fuzz -- --nocapture

soak: needs ## everything for MINUTES, with clients and faults; memory, files and keys stay flat
	SOAK_MINUTES=$(MINUTES) cargo test --release --locked --test tests soak -- --nocapture

bench-queue: needs ## jobs a second, enqueue to start, memory a finished job leaves, idle calls
	cargo run --release --locked --quiet --example queue

bench-failover: needs ## seconds from a usable Redis to the first sample, for each fault (ROUNDS=5, GROUPS="single sentinel cluster")
	cargo build --locked --bins
	@python3 tests/failover/bench.py $(GROUPS)

snapshots: needs ## take today's --help and OpenAPI document as the right ones
	INSTA_UPDATE=always cargo test --locked --test tests openapi
