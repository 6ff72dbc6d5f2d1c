#!/bin/sh
# Installs what building and running Cotiza needs besides Rust, unless it is there already:
# redis-server and a C compiler (which links, and builds the cryptography of TLS). With the argument
# "test" also libfaketime, for the tests of wrong clocks; where it cannot be had, they are skipped.
set -eu

needs=
command -v redis-server >/dev/null || needs="$needs redis"
command -v cc >/dev/null || needs="$needs cc"
if [ "${1:-}" = test ] && ! ls /usr/lib/*/faketime /usr/lib/faketime >/dev/null 2>&1; then
    ! command -v apt-get >/dev/null && ! command -v apk >/dev/null || needs="$needs faketime"
fi
[ -n "$needs" ] || exit 0

by_hand() {
    echo "Missing:$needs. $1: install it by hand." >&2
    exit 1
}

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || by_hand "Neither root nor sudo is here"
    sudo=sudo
fi

# The packages of what is missing: $1 names that of redis, $2 that of the compiler, $3 that of
# libfaketime.
packages() {
    for need in $needs; do
        case $need in redis) echo "$1" ;; cc) echo "$2" ;; faketime) echo "$3" ;; esac
    done
}

# A package may start the server as a service. Cotiza runs its own on another port, so that one
# does no harm.
echo "Installing$needs ..."
if command -v apt-get >/dev/null; then
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        $(packages redis-server "gcc libc6-dev" faketime) >/dev/null
elif command -v dnf >/dev/null; then
    $sudo dnf install -y -q $(packages redis gcc) ||
        $sudo dnf install -y -q $(packages valkey-compat-redis gcc)
elif command -v apk >/dev/null; then
    $sudo apk add --quiet $(packages redis "gcc musl-dev" libfaketime)
elif command -v pacman >/dev/null; then
    $sudo pacman -Sy --noconfirm --quiet $(packages redis gcc) ||
        $sudo pacman -Sy --noconfirm --quiet $(packages valkey gcc)
elif command -v brew >/dev/null; then
    brew install --quiet $(packages redis gcc)
else
    by_hand "None of apt, dnf, apk, pacman, brew is here"
fi

for program in redis-server cc; do
    command -v $program >/dev/null || {
        echo "$program was installed, but it is not on the PATH ($PATH)." >&2
        exit 1
    }
done
