#!/usr/bin/env bash
# Tests whether third-party programs understand the documented API. It starts Cotiza with a simulated
# exchange and slots of one second, on free ports and in a temporary folder, and runs:
#
#   openapi_document.py   the document is valid OpenAPI (openapi-spec-validator)
#   schemathesis          responses to random requests match the document (schemathesis.toml)
#   generated_client.py   a generated client (openapi-python-client) calls every operation
#   coingecko.py          pycoingecko reads the endpoints that are compatible with CoinGecko
#   csv_frames.py         pandas reads the lists as CSV
#   readme.py             the Python example of the README works
#   browser.py            Chromium reads the API and its stream from a page of another origin
#   page.py               the page at / in Chromium: live data, languages, themes, chart, keyboard, axe
#   page_faults.py        the page shows faults and recovers from them
#
# Usage: tests/conformance/run.sh [--screenshots] [BINARY]
#   BINARY is ${CARGO_TARGET_DIR:-target}/debug/cotiza by default. With --screenshots nothing is checked:
#   screenshots.py takes screenshots of the page with slots of ten seconds and a history of several weeks.
#
# It needs a built binary, redis-server, python3 (3.11 or newer) with venv, pgrep, internet access for pip
# at the first run, and Chromium: without Chromium its checks are skipped. It takes about three minutes.
# Everything that it has started is stopped at the end. The exit code is 0 if nothing failed, else 1.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=${CARGO_TARGET_DIR:-target}
slot=1 screenshots=
if [ "${1:-}" = --screenshots ]; then
  slot=10 screenshots=yes
  shift
fi
binary=$(realpath -m "${1:-$target/debug/cotiza}")
venv=$(realpath -m "$target/conformance")

fail() { echo "conformance: $*" >&2; exit 1; }
[ -x "$binary" ] || fail "$binary does not exist: build it, or give the path of the binary"
for program in redis-server pgrep; do
  command -v "$program" >/dev/null || fail "$program is missing (Debian: redis-server, procps)"
done
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  || fail "python3, 3.11 or newer, is missing (Debian: python3)"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "venv of python3 is missing (Debian: python3-venv)"

# The environment is created again when the requirements change. The file is copied last, so that an
# interrupted installation does not count as complete.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  echo "== installing the clients in $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi
export PATH="$venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

scratch=$(mktemp -d)
cotiza=
stop() {
  if [ -n "$cotiza" ]; then
    kill -TERM "$cotiza" 2>/dev/null || true
    for _ in {1..100}; do kill -0 "$cotiza" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$cotiza" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

read -r api_port exchange_port redis_port < <(python - <<'EOF'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in sockets))
EOF
)
echo "== starting $("$binary" --version) on port $api_port"
export COTIZA_URL="http://127.0.0.1:$api_port" SCRATCH="$scratch"
# With these, commands of cotiza find the Redis of the stack, and the password in its data folder.
export COTIZA_BINARY="$binary" COTIZA__UP__REDIS_PORT="$redis_port" COTIZA__UP__DATA_DIR="$scratch/data"
export SLOT="$slot"
unset REDIS_URL
# A separate folder, so that no configuration file or data of the developer is used.
(cd "$scratch" && exec env COTIZA__API__LISTEN="127.0.0.1:$api_port" \
  COTIZA__EXCHANGE__LISTEN="127.0.0.1:$exchange_port" COTIZA__SCHEDULE__EVERY="${slot}s" \
  "$binary" up --simulate) >"$scratch/cotiza.log" 2>&1 &
cotiza=$!
export COTIZA_PID=$cotiza

prepare=prepare.py
[ -z "$screenshots" ] || prepare=screenshots.py
if ! python "$here/$prepare"; then
  cat "$scratch/cotiza.log"
  fail "$prepare failed"
fi
[ -z "$screenshots" ] || exit 0

failed=() skipped=()
check() {
  local title=$1 began=$SECONDS code=0
  shift
  echo "== $title"
  (cd "$scratch" && "$@") || code=$?
  case $code in
    0) echo "   passed in $((SECONDS - began)) s" ;;
    77) skipped+=("$title") ;; # it has printed the reason
    *)
      echo "   FAILED after $((SECONDS - began)) s"
      failed+=("$title")
      ;;
  esac
}
check "openapi-spec-validator: the document" timeout 60 python "$here/openapi_document.py"
check "openapi-python-client: every operation" timeout 120 python "$here/generated_client.py"
check "pycoingecko: the endpoints of CoinGecko" timeout 60 python "$here/coingecko.py"
check "pandas: CSV" timeout 60 python "$here/csv_frames.py"
check "README: the example in Python" timeout 60 python "$here/readme.py"
check "Chromium: another origin, and the stream" timeout 120 python "$here/browser.py"
check "Chromium: the page" timeout 180 python "$here/page.py"
check "Chromium: the page during faults" timeout 180 python "$here/page_faults.py"
check "schemathesis: random requests" env PYTHONPATH="$here" timeout 300 \
  schemathesis --config-file "$here/schemathesis.toml" run "$COTIZA_URL/openapi.json" \
  --no-color --continue-on-failure

if [ ${#skipped[@]} -gt 0 ]; then
  printf '== skipped: %s\n' "${skipped[@]}"
fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "== the log of cotiza"
  cat "$scratch/cotiza.log"
  printf '== failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "== nothing failed"
