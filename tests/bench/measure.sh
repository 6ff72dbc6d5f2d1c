# Sourced by store.sh and stream.sh: starts servers on loopback, measures requests with wrk, computes medians.

declare -A running=()

# Starts a server, whose process id is in $! afterwards; its output goes to a file.
begin() {
    "$@" >>"$folder/log" 2>&1 &
    running[$!]=1
}

end() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    unset "running[$1]"
}

end_all() { for pid in "${!running[@]}"; do end "$pid"; done; }

fail() {
    tail -n 20 "$folder/log" >&2
    echo "$1" >&2
    exit 1
}

now_us() { echo "${EPOCHREALTIME/./}"; }
get() { curl -sf -o /dev/null "$1"; }
redis() { redis-cli -p $REDIS "$@"; }

# Waits until a command succeeds, for at most two minutes.
await() {
    local deadline=$((SECONDS + 120))
    until "$@"; do
        ((SECONDS < deadline)) || fail "no success within two minutes: $*"
        sleep 0.005
    done
}

redis_answers() { redis ping >/dev/null 2>&1; }

start_redis() {
    if redis_answers; then fail "a server already answers on port $REDIS"; fi
    begin redis-server --port $REDIS --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no
    await redis_answers
}

# Starts an api and waits until it answers a path; sets `api` and `took_ms`, the time until then.
start_api() {
    local started
    started=$(now_us)
    begin "$cotiza" api --listen 127.0.0.1:$API
    api=$!
    await get "http://127.0.0.1:$API$1"
    took_ms=$((($(now_us) - started) / 1000))
}

# $1: connections; then the arguments of wrk. Prints p50 and p99 in milliseconds and requests per second.
measure() {
    local connections=$1
    shift
    wrk -t1 -c"$connections" -d"${SECONDS_EACH}s" --latency "$@" | awk -v arguments="$*" '
        function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
        $1 == "50%" { p50 = ms($2) } $1 == "99%" { p99 = ms($2) }
        /Non-2xx/ { bad = $0 } $1 == "Requests/sec:" { rate = $2 }
        END {
            if (bad) { rate = 0; print arguments ":" bad >"/dev/stderr" }
            printf "%.3f %.3f %s", p50, p99, rate
        }'
}

# $1: name; $2: a URL; then the arguments of wrk, if they are not just the URL. Writes down one round of a
# request, and the rate of a handler that only returns as many bytes, measured just before.
request() {
    local name=$1 example=$2 bytes one limit sixteen
    shift 2
    [ $# -gt 0 ] || set -- "$example"
    bytes=$(curl -sf -o /dev/null -w '%{size_download}' "$example")
    one=$(measure 1 "$@")
    limit=$(measure 16 "http://127.0.0.1:$LIMITS/bytes/$bytes")
    sixteen=$(measure 16 "$@")
    [ -e "$folder/$name" ] || echo "$name" >>"$folder/requests"
    echo "$one ${sixteen##* } $bytes ${limit##* }" |
        awk '{ print $0, 100 * $4 / $6 }' >>"$folder/$name"
}

# Prints the rows per second of a list of all samples in a format.
rows_a_second() {
    curl -sf -o /dev/null -w '%{time_total}\n' "http://127.0.0.1:$API/api/ticker-list/?format=$1" |
        awk -v n="$n" '{ printf "%d\n", n / $1 }'
}

# Prints a row of the table for each kind of request.
rows() {
    local name
    while read -r name; do
        medians "$folder/$name" | awk -v n="$n" -v name="$name" '{
            printf "| %d | %s | %.2f | %.2f | %d | %d | %d | %d | %d %% |\n", n, name, $1, $2, $3, $4, $5, $6, $7 }'
        rm "$folder/$name"
    done <"$folder/requests"
    rm "$folder/requests"
}

# Prints the median of each column of a file.
medians() {
    local lines column
    lines=$(wc -l <"$1")
    for column in $(seq "$(head -n 1 "$1" | wc -w)"); do
        cut -d' ' -f"$column" "$1" | sort -g | sed -n "$(((lines + 1) / 2))p"
    done | paste -s -d' '
}
