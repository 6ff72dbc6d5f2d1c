#!/usr/bin/env bash
# Tests the dashboard and the alerts on a live system. It starts Redis, a simulated exchange, a scheduler,
# workers and apis with slots of one second, and Debian's Prometheus with the rules of
# docker/prometheus/. Then it checks:
#
#   promtool        configuration, rules, unit tests of the rules, and the metrics of the processes
#   expressions     each expression of the dashboard and of the rules returns data
#   alerts          for one fault after the other, the expected alert fires and is gone after the repair
#
# Usage: tests/observe/run.sh [BINARY]   (default: ${CARGO_TARGET_DIR:-target}/debug/cotiza)
#
# It needs a built binary, redis-server, python3 (3.9 or newer) and prometheus (Debian package
# prometheus); without prometheus it is skipped. It takes about three minutes. Everything listens on
# 127.0.0.1 on free ports and ends with this script. The exit code is 0 if nothing failed, else 1.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
binary=$(realpath -m "${1:-${CARGO_TARGET_DIR:-target}/debug/cotiza}")

for program in prometheus promtool; do
    if ! command -v "$program" >/dev/null; then
        echo "test-observe: skipped, since $program is not installed (Debian: prometheus)"
        exit 0
    fi
done
fail() { echo "test-observe: $*" >&2; exit 1; }
[ -x "$binary" ] || fail "$binary does not exist: build it, or give the path of the binary"
for program in redis-server python3; do
    command -v "$program" >/dev/null || fail "$program is missing (Debian: $program)"
done

export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# SIGTERM lets the test end its processes; it gets 30 s for that.
exec timeout --kill-after=30 480 python3 "$here/live.py" "$binary"
