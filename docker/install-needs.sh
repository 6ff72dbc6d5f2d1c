#!/bin/sh
# Installs the missing programs, other than Rust, that are needed to build and run Cotiza: redis-server and a
# C compiler (for linking and for the cryptography of TLS). With the argument "test", also installs
# libfaketime for the tests of wrong clocks; without it these tests are skipped.
set -eu

needs=
command -v redis-server >/dev/null || needs="$needs redis"
command -v cc >/dev/null || needs="$needs cc"
if [ "${1:-}" = test ] && ! ls /usr/lib/*/faketime /usr/lib/faketime >/dev/null 2>&1; then
    ! command -v apt-get >/dev/null && ! command -v apk >/dev/null || needs="$needs faketime"
fi
[ -n "$needs" ] || exit 0

fail() {
    echo "Missing:$needs. $1. Install the missing programs manually." >&2
    exit 1
}

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "This user is not root and sudo is not installed"
    sudo=sudo
fi

# Prints the packages to install. Arguments: the packages of Redis ($1), the compiler ($2) and
# libfaketime ($3).
packages() {
    for need in $needs; do
        case $need in redis) echo "$1" ;; cc) echo "$2" ;; faketime) echo "$3" ;; esac
    done
}

# Some packages start Redis as a service. This is harmless, because Cotiza runs its own on another port.
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
    fail "No supported package manager (apt, dnf, apk, pacman, brew) was found"
fi

for program in redis-server cc; do
    command -v $program >/dev/null || {
        echo "$program was installed, but is not in the PATH ($PATH). Add its folder to the PATH." >&2
        exit 1
    }
done
