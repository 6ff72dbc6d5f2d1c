# The commands for developers and CI. The targets up and install also install missing programs.

SHELL := /bin/sh
SIMULATE ?=
MINUTES ?= 1
SEED ?=
REQUESTS ?= 100000
FILES ?= src/domain/**

# Any other value would silently use the real exchange.
ifneq ($(filter-out 1,$(SIMULATE)),)
$(error SIMULATE=$(SIMULATE) is not valid: give SIMULATE=1, or leave it out)
endif

.PHONY: help up install test test-compose test-clients test-observe screenshots fmt lint doc docs mutants needs needs-test snapshots bench-store bench-stream bench-queue bench-failover test-servers chaos fuzz soak

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

up: needs ## install missing programs, build, and run everything (SIMULATE=1: without internet access)
	cargo build --release --locked
	exec "$${CARGO_TARGET_DIR:-target}"/release/cotiza up $(if $(filter 1,$(SIMULATE)),--simulate)

install: needs ## install cotiza into ~/.cargo/bin
	cargo install --locked --path .

test: needs-test fmt lint doc ## check formatting, lints and documentation, and run all tests
	cargo test --locked

test-compose: ## test the containers: build, record, kill, disconnect, back up (skipped without a container engine)
	@tests/compose/run.sh

test-clients: needs ## test Python, generated and browser clients against a running api (needs python3)
	cargo build --locked --bins
	@tests/conformance/run.sh

test-observe: needs ## test alerts and dashboard with a running Prometheus and real faults (skipped without prometheus)
	cargo build --locked --bins
	@tests/observe/run.sh

test-servers: needs ## test all roles with Redis 6.2 and 8 and Valkey 8 and 9 (needs python3; unavailable servers are skipped)
	cargo build --locked --bins
	@python3 tests/failover/servers.py $$(tests/failover/fetch_servers.sh "$${CARGO_TARGET_DIR:-target}/servers")

screenshots: needs ## create the screenshots for the README (needs python3 and Chromium)
	cargo build --locked --bins
	@tests/conformance/run.sh --screenshots

fmt: ## check the formatting
	cargo fmt --check

lint: ## check that the compiler and clippy report no warnings
	cargo clippy --locked --all-targets -- --deny warnings

doc: ## check that rustdoc reports no warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items

docs: ## build the documentation of the crate and open it: map, glossary, walks, recipes
	cargo doc --locked --no-deps --document-private-items --open

mutants: needs-test ## run cargo-mutants on FILES (a glob) with the unit tests; needs cargo-mutants
	cargo mutants --file '$(FILES)' -- --lib

needs-test:
	@docker/install-needs.sh test

needs: ## install redis-server and a C compiler if they are missing
	@docker/install-needs.sh

bench-store: needs ## measure HTTP requests at 1e3 to 1e7 samples, memory, import and export
	@tests/bench/store.sh

bench-stream: needs ## measure memory and delay with many clients of the stream (CLIENTS="100 10000")
	@tests/bench/stream.sh

chaos: needs ## test with random failures of all parts for MINUTES (SEED repeats a run)
	CHAOS_MINUTES=$(MINUTES) CHAOS_SEED=$(SEED) cargo test --locked --test tests chaos -- --nocapture

fuzz: needs ## send mutated REQUESTS: no 5xx, no growth of memory (SEED repeats a run)
	FUZZ_REQUESTS=$(REQUESTS) FUZZ_SEED=$(SEED) cargo test --release --locked --test tests fuzz -- --nocapture

soak: needs ## run everything with clients and faults for MINUTES; memory, open files and keys must not grow
	SOAK_MINUTES=$(MINUTES) cargo test --release --locked --test tests soak -- --nocapture

bench-queue: needs ## measure jobs per second, time from enqueue to start, memory per finished job, calls while idle
	cargo run --release --locked --quiet --example queue

bench-failover: needs ## measure the time from an available Redis to the first sample, for each fault (ROUNDS=5, GROUPS="single sentinel cluster")
	cargo build --locked --bins
	@python3 tests/failover/bench.py $(GROUPS)

snapshots: needs ## update the snapshots of --help and the OpenAPI document
	INSTA_UPDATE=always cargo test --locked --test tests openapi
