#!/usr/bin/env bash
# Builds replacements for the three public base images, with the same names, on a machine that cannot pull
# images. It uses Debian packages and the Rust toolchain of this machine, and keeps existing images.
# Requires root and Debian or a derivative. Afterwards, Cotiza builds and runs as on other machines. If
# containers cannot reach the package registries, build with BUILD_NETWORK=host.
set -euo pipefail
cd "$(dirname "$0")/../.."

RELEASE=bookworm
# The Dockerfile and the compose file contain the names; environment variables override them.
rust_image=${RUST_IMAGE:-$(sed -n 's/^ARG RUST_IMAGE=//p' docker/Dockerfile)}
base_image=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' docker/Dockerfile)}
redis_image=${REDIS_IMAGE:-$(sed -n 's/.*{REDIS_IMAGE:-\([^}]*\)}.*/\1/p' docker-compose.yml)}

missing() {
    ! docker image inspect "$1" >/dev/null 2>&1
}

missing "$rust_image" || missing "$base_image" || missing "$redis_image" || exit 0

if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >/dev/null
fi

# All images are built from one file system, to which packages are added from image to image.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# Creates an image of the current file system. Arguments: the name, then Dockerfile instructions.
image() {
    local name=$1 changes=()
    shift
    for change in "$@"; do changes+=(--change "$change"); done
    tar -C "$root" --numeric-owner --one-file-system --exclude='./var/cache/apt/archives/*.deb' \
        --exclude='./var/lib/apt/lists/*' --exclude=./usr/share/doc --exclude=./usr/share/man \
        --exclude=./usr/share/locale -c . | docker import "${changes[@]}" - "$name" >/dev/null
    echo "created $name" >&2
}

install() {
    local output
    output=$(DEBIAN_FRONTEND=noninteractive chroot "$root" \
        apt-get install -y -qq --no-install-recommends "$@" 2>&1) || {
        echo "$output" >&2
        return 1
    }
}

echo "building replacements for the base images from Debian packages ..." >&2
debootstrap --variant=minbase "$RELEASE" "$root" >/dev/null
# Prevent packages from starting services in the chroot.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
if missing "$base_image"; then
    image "$base_image" 'CMD ["bash"]'
fi

# The same user and folder as in the public image.
chroot "$root" groupadd --system --gid 999 redis
chroot "$root" useradd --system --gid redis --uid 999 redis
install redis-server
chroot "$root" install -d -o redis -g redis /data
if missing "$redis_image"; then
    image "$redis_image" 'WORKDIR /data' 'VOLUME /data' 'CMD ["redis-server"]'
fi

if missing "$rust_image"; then
    install gcc libc6-dev ca-certificates
    # Use the certificates that this machine trusts.
    cat "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" \
        >"$root/etc/ssl/certs/ca-certificates.crt"
    cargo_home=$root/usr/local/cargo
    mkdir -p "$cargo_home/bin"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/"
    # The configuration of the crate registries of this machine, if it exists.
    for config in "${CARGO_HOME:-$HOME/.cargo}"/config{.toml,}; do
        [ ! -e "$config" ] || cp "$config" "$cargo_home/"
    done
    image "$rust_image" 'ENV CARGO_HOME=/usr/local/cargo' \
        'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
fi
