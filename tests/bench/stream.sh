#!/usr/bin/env bash
# make bench-stream: measures the memory of the api with many clients of /api/stream/ on loopback, and the
# time from the first to the last client that gets an event. CLIENTS="100 10000" sets the numbers of clients.
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
# Slots of 2 s keep the waits short.
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
