#!/usr/bin/env bash
# make bench-stream: clients of /api/stream/, all on loopback: the memory of the api with them, and the
# time from the first one that has an event to the last one. CLIENTS="100 10000" chooses how many.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

CLIENTS=${CLIENTS:-100 1000 10000}
REDIS=7790 API=7791
folder=$(mktemp -d)
. tests/bench/measure.sh
trap 'end_all; rm -rf "$folder"' EXIT

cargo build --release --locked --quiet --bin cotiza --example streams
built=${CARGO_TARGET_DIR:-target}/release
cotiza=$built/cotiza
# Slots of 2 s: nobody waits for long.
export REDIS_URL=redis://127.0.0.1:$REDIS/0 COTIZA__LOG__LEVEL=warn COTIZA__SCHEDULE__EVERY=2s
export COTIZA__API__MAX_CONNECTIONS=20000 COTIZA__API__MAX_CONNECTIONS_PER_ADDRESS=20000
export COTIZA__API__MAX_STREAMS=20000 COTIZA__EXCHANGE__LISTEN=127.0.0.1:7794
export COTIZA__SOURCES__BUENBIT__URL=http://127.0.0.1:7794/api/market/tickers
ulimit -n "$(ulimit -Hn)"

start_redis
begin "$cotiza" exchange
begin "$cotiza" scheduler
begin "$cotiza" worker
echo "| clients | memory of the api before, MB | with them | after an event | kB a client | first to last, ms |"
echo "|--:|--:|--:|--:|--:|--:|"
for clients in $CLIENTS; do
    start_api "/api/latest/"
    "$built/examples/streams" 127.0.0.1:$API "$api" "$clients"
    end "$api"
done
