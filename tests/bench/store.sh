#!/usr/bin/env bash
# make bench-store: measures requests over HTTP with different numbers of samples, memory, the time until an
# api is ready, import and export, the delay until a stored sample is served, and bytes per sample. All
# processes are on loopback; it takes about 15 minutes. It prints Markdown tables with medians over rounds,
# since the machine may be shared. SIZES="1000 100000" sets the numbers of samples.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C

SIZES=${SIZES:-1000 100000 1000000 10000000}
SECONDS_EACH=${SECONDS_EACH:-2}
ROUNDS=${ROUNDS:-3}
# The number of samples for the table of bytes.
STORED=${STORED:-100000}
# The largest numbers of samples for the method of the old stack and for VictoriaMetrics.
NAIVE_MOST=${NAIVE_MOST:-1000000}
VICTORIA_MOST=${VICTORIA_MOST:-1000000}
REDIS=7790 API=7791 LIMITS=7792 VICTORIA=7793
# The start of an hour more than a year ago, so that all samples are sealed and have no text form.
FIRST=1600002000

folder=$(mktemp -d)
. tests/bench/measure.sh
. tests/bench/storage.sh
trap 'end_all; rm -rf "$folder"' EXIT

command -v wrk >/dev/null || { apt-get update -qq && apt-get install -y -qq wrk >/dev/null; }
cargo build --release --locked --quiet --bin cotiza --example limits --example delay
built=${CARGO_TARGET_DIR:-target}/release
cotiza=$built/cotiza
export REDIS_URL=redis://127.0.0.1:$REDIS/0 COTIZA__LOG__LEVEL=warn

# Measures each kind of request once; VictoriaMetrics only if it has these samples.
measure_all() {
    local url=http://127.0.0.1:$API/api last=$((FIRST + n * 10)) range="since=0&until=9999999999"
    local victoria_url="http://127.0.0.1:$VICTORIA/api/v1/query?time=$last&query=avg_over_time"
    request "limit itself, 100 bytes" http://127.0.0.1:$LIMITS/bytes/100
    request "one Redis PING" http://127.0.0.1:$LIMITS/ping
    request "average of everything" "$url/average-price/?$range"
    request "average of a random range" "$url/average-price/?since=$FIRST&until=$((last - n * 5))" \
        -s tests/bench/random-range.lua "$url" -- $FIRST $last
    request "first page" "$url/ticker-list/"
    request "middle page" "$url/ticker-list/?page=$((n / 20))"
    request "last page" "$url/ticker-list/?page=last"
    request "latest" "$url/latest/"
    request "price at a time" "$url/price/?at=$((FIRST + n * 5))"
    request "summary of everything" "$url/summary/?$range"
    request "mean weighted by time" "$url/average-price/?$range&weight=time"
    request "coverage of everything" "$url/coverage/?$range"
    request "gaps" "$url/gaps/"
    local year="since=$FIRST&until=$((FIRST + 31535999))"
    request "candles of a year, daily" "$url/candles/?interval=1d&$year&limit=366"
    request "candles of a year, hourly, CSV" "$url/candles/?interval=1h&$year&format=csv"
    request "candles, 5000 of a minute" "$url/candles/?interval=1m&since=$FIRST&limit=5000"
    request "CoinGecko, simple price" "$url/v3/simple/price?ids=bitcoin&vs_currencies=ars"
    request "CoinGecko, chart of all days" "$url/v3/coins/bitcoin/market_chart?vs_currency=ars&days=max"
    request "CriptoYa, quotes" "$url/btc/ars/1"
    [ -n "$victoria_pid" ] || return 0
    request "VictoriaMetrics, average of everything" "$victoria_url(price%5B$((n * 10))s%5D)"
    request "VictoriaMetrics, average of a random range" "$victoria_url(price%5B$((n * 5))s%5D)" \
        -s tests/bench/random-range.lua "$victoria_url" -- $FIRST $last victoria
}

echo "$(nproc) cores, $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)," \
    "Redis $(redis-server --version | sed 's/.*v=\([^ ]*\).*/\1/'), $(date -u +%F);" \
    "medians of $ROUNDS rounds"
echo
find_victoria
start_redis
begin "$built/examples/limits" "$REDIS_URL" 127.0.0.1:$LIMITS
await get http://127.0.0.1:$LIMITS/ping
for _ in $(seq "$ROUNDS"); do
    start_api "/api/average-price/?since=0&until=1"
    end "$api"
    echo $took_ms
done >"$folder/first_answer"

echo "The limit is a poem handler that only returns as many bytes."
echo
echo "| samples | request | p50 ms | p99 ms | req/s, 1 conn. | req/s, 16 conn. | bytes | limit, 16 conn. | of limit |"
echo "|--:|---|--:|--:|--:|--:|--:|--:|--:|"
for n in $SIZES; do
    samples walk "$n" >"$folder/samples.csv"
    costs
    sealed=$(bytes_a_sample "{prices}:hours" "$n")
    victoria "$n"
    for _ in $(seq "$ROUNDS"); do measure_all; done
    end_victoria
    for _ in $(seq "$ROUNDS"); do rows_a_second csv; done >"$folder/csv"
    for _ in $(seq "$ROUNDS"); do rows_a_second ndjson; done >"$folder/ndjson"
    streamed=$(echo $(medians "$folder/csv") $(medians "$folder/ndjson"))
    delay=$("$built/examples/delay" "$REDIS_URL" http://127.0.0.1:$API)
    end "$api"
    echo "$n $(medians "$folder/costs") $sealed $delay $victoria_rate $victoria_bytes $streamed" >>"$folder/sizes"
    if [ "$n" -le "$NAIVE_MOST" ]; then
        redis flushall >/dev/null
        COTIZA__PRICES__TEXT=forever import
        request "the naive way: read all, add" http://127.0.0.1:$LIMITS/naive
    fi
    rows
done

echo
echo "An api on an empty Redis answers its first request $(medians "$folder/first_answer") ms after its start."
echo
echo "| samples | api ready after ms | its memory, MB | import, samples/s | export, samples/s |" \
    "bytes a sample, sealed | stored to answered, p50 ms | p99 ms |" \
    "VictoriaMetrics: import, samples/s | bytes a sample | CSV over HTTP, rows/s | NDJSON, rows/s |"
echo "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
awk -v OFS=' | ' '{
    print "| " $1, $4, sprintf("%.1f", $5), $2, $3, $6, $7, $8, $9, $10, $11, $12 " |" }' "$folder/sizes"
echo
echo "| $STORED samples | bytes as text | sealed | sealed, with provenance | VictoriaMetrics |"
echo "|---|--:|--:|--:|--:|"
storage walk
storage market
