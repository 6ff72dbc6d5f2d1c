# Sourced by store.sh: generates and imports samples, measures their cost, and runs VictoriaMetrics with them.

# $1: kind, $2: number, then more variables of samples.awk.
samples() { awk -v kind="$1" -v n="$2" -v first=$FIRST "${@:3}" -f tests/bench/samples.awk; }

import() { "$cotiza" prices import "$folder/samples.csv" >/dev/null; }

# Prints the bytes per sample of a key of Redis with $2 samples.
bytes_a_sample() { awk "BEGIN { printf \"%.2f\", $(redis memory usage "$1" samples 0) / $2 }"; }

# Measures rounds of import, export, and start of an api; the last api keeps running.
costs() {
    local started imported exported
    for round in $(seq "$ROUNDS"); do
        [ "$round" -eq 1 ] || end "$api"
        redis flushall >/dev/null
        started=$(now_us)
        import
        imported=$(now_us)
        "$cotiza" prices export --output /dev/null
        exported=$(now_us)
        start_api /health/ready
        sleep 2
        echo "$((n * 1000000 / (imported - started))) $((n * 1000000 / (exported - imported)))" \
            "$took_ms $(awk '/VmRSS/ { print $2 / 1000 }' "/proc/$api/status")"
    done >"$folder/costs"
}

# $1: kind. Prints a row: bytes per sample in Redis as text, sealed, and sealed with provenance.
storage() {
    local n=$STORED text sealed provenance scheduler worker
    samples "$1" "$n" >"$folder/samples.csv"
    redis flushall >/dev/null
    COTIZA__PRICES__TEXT=forever import
    text=$(bytes_a_sample prices "$n")
    redis flushall >/dev/null
    import
    sealed=$(bytes_a_sample "{prices}:hours" "$n")
    redis flushall >/dev/null
    samples "$1" "$n" -v provenance=1 | redis --pipe >/dev/null
    # Housekeeping seals hours and drops their text form. No exchange is running.
    export COTIZA__SOURCES__BUENBIT__URL=http://127.0.0.1:9/ COTIZA__QUEUE__HOUSEKEEPING_EVERY=1s
    begin "$cotiza" scheduler
    scheduler=$!
    begin "$cotiza" worker
    worker=$!
    await all_is_sealed
    end "$scheduler"
    end "$worker"
    provenance=$(bytes_a_sample "{prices}:hours" "$n")
    victoria "$n"
    end_victoria
    echo "| $1 | $text | $sealed | $provenance | $victoria_bytes |"
}

all_is_sealed() { [ "$(redis zcard prices)" -eq 0 ]; }

# Finds VictoriaMetrics. Its package is only unpacked, since an installation would start a service.
find_victoria() {
    victoria=$(command -v victoria-metrics) && return
    if (cd "$folder" && apt-get download -qq victoria-metrics && dpkg -x victoria-metrics_*.deb .) \
        >>"$folder/log" 2>&1; then
        victoria=$folder/usr/bin/victoria-metrics
    else
        echo "VictoriaMetrics is skipped: it is not installed, and apt-get cannot download it."
        echo
    fi
}

# Imports $1 samples into VictoriaMetrics, which keeps running; sets `victoria_rate`, samples per second,
# and `victoria_bytes`, the bytes per sample on disk, without the index of series.
victoria() {
    local started url=http://127.0.0.1:$VICTORIA
    victoria_rate=- victoria_bytes=- victoria_pid=
    if [ -z "$victoria" ] || [ "$1" -gt "$VICTORIA_MOST" ]; then return; fi
    begin "$victoria" -storageDataPath="$folder/victoria" -httpListenAddr=127.0.0.1:$VICTORIA \
        -retentionPeriod=100y -loggerLevel=ERROR
    victoria_pid=$!
    await get $url/health
    started=$(now_us)
    tail -n +2 "$folder/samples.csv" |
        curl -sf -T - "$url/api/v1/import/csv?format=1:time:unix_s,2:metric:price"
    get $url/internal/force_flush
    victoria_rate=$(($1 * 1000000 / ($(now_us) - started)))
    get $url/internal/force_merge
    sleep 1
    await is_merged
    victoria_bytes=$(find "$folder/victoria/data" -type f -printf '%s\n' |
        awk -v n="$1" '{ bytes += $1 } END { printf "%.2f", bytes / n }')
}

is_merged() {
    # grep -q would close the pipe early, which is an error for curl.
    [ "$(curl -sf http://127.0.0.1:$VICTORIA/metrics | grep -c '^vm_active_force_merges 0$')" -eq 1 ]
}

end_victoria() {
    [ -z "$victoria_pid" ] || end "$victoria_pid"
    rm -rf "$folder/victoria"
}
