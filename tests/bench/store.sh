#!/usr/bin/env bash
# make bench-store: how long questions take over HTTP at different numbers of samples, on loopback,
# and what samples cost in memory. SIZES="1000 100000" chooses the numbers. Prints Markdown tables, of
# medians over rounds: the machine may be shared. A share is of the bare handler in the same round.
set -euo pipefail
cd "$(dirname "$0")/../.."

SIZES=${SIZES:-1000 100000 1000000 10000000}
SECONDS_EACH=${SECONDS_EACH:-2}
ROUNDS=${ROUNDS:-3}
REDIS=7790 API=7791 LIMITS=7792
FIRST=1600000000
folder=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    pids=()
}
trap 'stop; rm -rf "$folder"' EXIT

command -v wrk >/dev/null || { apt-get update -qq && apt-get install -y -qq wrk >/dev/null; }
cargo build --release --locked --quiet --bin cotiza --example limits

export REDIS_URL=redis://127.0.0.1:$REDIS/0 COTIZA__LOG__LEVEL=warn
cotiza=target/release/cotiza
redis() { redis-cli -p $REDIS "$@"; }
now() { date +%s.%N; }
ask() { curl -sf -o /dev/null "$1"; }
answers() { for _ in $(seq 200); do ask "$1" && return; sleep 0.05; done; echo "no answer: $1" >&2; exit 1; }

# $1: connections; then what wrk takes. Prints requests a second, p50 and p99 in milliseconds.
measure() {
    local connections=$1
    shift
    wrk -t1 -c"$connections" -d"${SECONDS_EACH}s" --latency "$@" | awk '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        $1 == "50%" { p50 = ms($2) } $1 == "99%" { p99 = ms($2) }
        /Non-2xx/ { bad = 1 } $1 == "Requests/sec:" { rate = $2 }
        END { if (bad) rate = "ERRORS"; printf "%s %.3f %.3f", rate, p50, p99 }'
}

# $1: name; then what wrk takes. Notes a round of a question; the first one of a round is its limit.
question() {
    local name=$1 one sixteen
    shift
    read -r -a one <<<"$(measure 1 "$@")"
    read -r -a sixteen <<<"$(measure 16 "$@")"
    limit=${limit:-${sixteen[0]}}
    [ -e "$folder/$name" ] || echo "$name" >>"$folder/questions"
    awk -v one="${one[*]}" -v sixteen="${sixteen[0]}" -v limit="$limit" \
        'BEGIN { print one, sixteen, 100 * sixteen / limit }' >>"$folder/$name"
}

# Prints a row of the table for each question: the median of each column.
rows() {
    local name column middle
    while read -r name; do
        middle=$((($(wc -l <"$folder/$name") + 1) / 2))
        for column in 2 3 1 4 5; do
            cut -d' ' -f$column "$folder/$name" | sort -g | sed -n "${middle}p"
        done | paste -s -d' ' | awk -v n="$n" -v name="$name" '{
            printf "| %d | %s | %.2f | %.2f | %d | %d | %d %% |\n", n, name, $1, $2, $3, $4, $5 }'
        rm "$folder/$name"
    done <"$folder/questions"
    rm "$folder/questions"
}

echo "$(nproc) cores, $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo)," \
    "$(redis-server --version | awk '{ print $3 }'), $(date -u +%F)"
echo
echo "| samples | question | p50 ms | p99 ms | req/s, 1 conn. | req/s, 16 conn. | of bare |"
echo "|--:|---|--:|--:|--:|--:|--:|"
for n in $SIZES; do
    redis-server --port $REDIS --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no --loglevel warning >/dev/null &
    pids+=($!)
    for _ in $(seq 100); do redis ping >/dev/null 2>&1 && break; sleep 0.05; done
    awk -v n="$n" -v first=$FIRST 'BEGIN { srand(1); print "timestamp,price"; for (i = 0; i < n; i++)
        printf "%d,%d.%d\n", first + i * 10, 80000000 + rand() * 9000000, rand() * 10 }' >"$folder/samples.csv"
    start=$(now); $cotiza prices import "$folder/samples.csv" >/dev/null; imported=$(now)
    $cotiza prices export --output "$folder/out.csv"; exported=$(now)
    rollups=$(redis memory usage "{prices}:rollups:2" samples 0)
    awk -v n="$n" -v bytes="$(redis memory usage prices samples 0)" -v rollups="$rollups" \
        -v a="$start" -v b="$imported" -v c="$exported" 'BEGIN {
            printf "| %d | %.1f | %.1f | %d | %d |\n", n, bytes / n, rollups / n, n / (b - a), n / (c - b) }' \
        >>"$folder/costs"

    $cotiza api --listen 127.0.0.1:$API 2>/dev/null & pids+=($!)
    target/release/examples/limits "$REDIS_URL" 127.0.0.1:$LIMITS & pids+=($!)
    answers http://127.0.0.1:$API/health/ready
    answers http://127.0.0.1:$LIMITS/ping
    url=http://127.0.0.1:$API/api last=$((FIRST + n * 10))
    for _ in $(seq "$ROUNDS"); do
        limit=
        question "bare handler, one PING" http://127.0.0.1:$LIMITS/ping
        question "average of everything" "$url/average-price/?since=0&until=9999999999"
        question "average of a random range" -s tests/bench/random-range.lua "$url" -- $FIRST $last
        question "first page" "$url/ticker-list/"
        question "middle page" "$url/ticker-list/?page=$((n / 20))"
        question "last page" "$url/ticker-list/?page=last"
    done
    # Once and last: its answers are still being worked on when wrk has left.
    if [ "$n" -le 1000000 ]; then
        question "the naive way: read all, add" http://127.0.0.1:$LIMITS/naive
    fi
    stop
    rows
done
echo
echo "| samples | bytes a sample in \`prices\` | in rollups | import samples/s | export samples/s |"
echo "|--:|--:|--:|--:|--:|"
cat "$folder/costs"
