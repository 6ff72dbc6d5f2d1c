#!/usr/bin/env bash
# Makes stand-ins for the three public base images, under the same names, for a machine that can
# pull none: from Debian packages and this machine's own Rust. An image that is there is kept.
# Needs root, and Debian or a relative of it. Afterwards everything builds and runs as elsewhere;
# if containers have no way to the package registries, build with BUILD_NETWORK=host.
set -euo pipefail
cd "$(dirname "$0")/../.."

RELEASE=bookworm
# The names stand in the Dockerfile and the compose file; the environment wins, as it does there.
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

# One file system grows from image to image.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# Makes an image of what there is so far; the rest of the arguments are Dockerfile instructions.
image() {
    local name=$1 changes=()
    shift
    for change in "$@"; do changes+=(--change "$change"); done
    tar -C "$root" --numeric-owner --one-file-system --exclude='./var/cache/apt/archives/*.deb' \
        --exclude='./var/lib/apt/lists/*' --exclude=./usr/share/doc --exclude=./usr/share/man \
        --exclude=./usr/share/locale -c . | docker import "${changes[@]}" - "$name" >/dev/null
    echo "made $name" >&2
}

install() {
    local output
    output=$(DEBIAN_FRONTEND=noninteractive chroot "$root" \
        apt-get install -y -qq --no-install-recommends "$@" 2>&1) || {
        echo "$output" >&2
        return 1
    }
}

echo "making stand-ins for the base images from Debian packages ..." >&2
debootstrap --variant=minbase "$RELEASE" "$root" >/dev/null
# A chroot starts no services.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
if missing "$base_image"; then
    image "$base_image" 'CMD ["bash"]'
fi

# The user and the folder are those of the public image.
chroot "$root" groupadd --system --gid 999 redis
chroot "$root" useradd --system --gid redis --uid 999 redis
install redis-server
chroot "$root" install -d -o redis -g redis /data
if missing "$redis_image"; then
    image "$redis_image" 'WORKDIR /data' 'VOLUME /data' 'CMD ["redis-server"]'
fi

if missing "$rust_image"; then
    install gcc libc6-dev ca-certificates
    # The packages' certificates, and those that this machine trusts besides.
    cat "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" \
        >"$root/etc/ssl/certs/ca-certificates.crt"
    cargo_home=$root/usr/local/cargo
    mkdir -p "$cargo_home/bin"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/"
    # Where this machine takes its crates from, if it was told so.
    for config in "${CARGO_HOME:-$HOME/.cargo}"/config{.toml,}; do
        [ ! -e "$config" ] || cp "$config" "$cargo_home/"
    done
    image "$rust_image" 'ENV CARGO_HOME=/usr/local/cargo' \
        'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
fi
