#!/usr/bin/env bash
# Tests docker-compose.yml on a real Docker engine: builds, records, scales, kills one container after the
# other, disconnects one from the network, takes everything down and up again, backs up and restores. At the
# end it checks that every slot has one sample or a reason. It always removes everything that it has started.
set -euo pipefail
cd "$(dirname "$0")/../.."

SLOT=2
IMAGE_LIMIT_MB=40
FILES=(-f docker-compose.yml -f tests/compose/quick.yml)
PROJECT=cotiza-test-$$

if ! docker version >/dev/null 2>&1; then
    echo "test-compose: skipped, since no Docker engine answers"
    exit 0
elif docker compose version >/dev/null 2>&1; then
    COMPOSE=(docker compose)
elif docker-compose version >/dev/null 2>&1; then
    COMPOSE=(docker-compose)
else
    echo "test-compose: skipped, since neither docker compose nor docker-compose is installed"
    exit 0
fi

work=$(mktemp -d)
# The .env of this folder must not affect the test.
touch "$work/no.env"
export COMPOSE_PROJECT_NAME=$PROJECT COTIZA_IMAGE=cotiza:test-compose API_PORT=127.0.0.1:0 \
    COTIZA__SCHEDULE__EVERY=${SLOT}s REDIS_PASSWORD_FILE=$work/redis-password \
    COTIZA__SOURCES__BUENBIT__URL=http://exchange:8001/api/market/tickers \
    COTIZA__PRICES__KEEP=forever COTIZA__API__TRUSTED_PROXIES='' COTIZA__LOG__LEVEL=info \
    COMMIT=${COMMIT:-$(git rev-parse --short=12 HEAD 2>/dev/null || true)}
# A password with special characters must work.
printf '%s "\\ $%%@#\n' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" >"$REDIS_PASSWORD_FILE"
chmod 755 "$work"

# The timeout allows for a build without a cache.
compose() {
    timeout --foreground 900 "${COMPOSE[@]}" --env-file "$work/no.env" "${FILES[@]}" --profile simulate "$@"
}

clean() {
    local code=$?
    trap - EXIT
    if [ "$code" -ne 0 ]; then
        echo "test-compose: failed; the last lines of each service:"
        compose logs --tail 15 2>&1 || true
        compose ps -a 2>&1 || true
    fi
    compose down --volumes --remove-orphans --timeout 3 >/dev/null 2>&1 || true
    rm -rf "$work"
    exit "$code"
}
trap clean EXIT
trap 'exit 130' INT TERM

step() {
    printf '%4ss  %s\n' "$SECONDS" "$*"
}

fail() {
    echo "FAILED: $*"
    exit 1
}

# wait_for SECONDS WHAT COMMAND...: waits until the command succeeds.
wait_for() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || fail "$what: not in time; last seen: ${seen:-nothing}"
        sleep 0.2
    done
}

quietly() {
    "$@" >"$work/output" 2>&1 || {
        cat "$work/output"
        fail "$*"
    }
}

# containers SERVICE: all containers of a service, including stopped ones.
containers() {
    docker ps -aq --filter "label=com.docker.compose.project=$PROJECT" \
        --filter "label=com.docker.compose.service=$1"
}

health_is() {
    seen=$(docker inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$2")
    [ "$seen" = "running $1" ]
}

# healthy SERVICE COUNT: whether there are COUNT containers and all of them are healthy.
healthy() {
    local all container
    all=$(containers "$1")
    seen="$(wc -w <<<"$all") containers of $1"
    [ "$(wc -w <<<"$all")" -eq "$2" ] || return 1
    for container in $all; do health_is healthy "$container" || return 1; done
}

all_healthy() {
    healthy redis 1 && healthy scheduler "$1" && healthy worker "$2" && healthy api 1
}

# get PATH: puts the response of the API into $seen.
get() {
    local address
    address=$(docker port "$(containers api)" 8000 2>/dev/null | head -1) || return 1
    seen=$(curl --silent --show-error --max-time 5 "http://$address$1" 2>&1)
}

# field NAME: prints the number with that name in the last response.
field() {
    sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$seen"
}

recorded_since() {
    get "/api/coverage/?since=$1&until=$(date +%s)" || return 1
    [ "$(field recorded || true)" -ge "$2" ] 2>/dev/null
}

redis_was_unavailable_since() {
    get "/api/coverage/?since=$1&until=$(date +%s)" && [ "$(field redis_away || true)" -ge 1 ] 2>/dev/null
}

# still_records COUNT: waits until COUNT more slots are recorded.
still_records() {
    local now
    now=$(date +%s)
    wait_for $((10 * SLOT + 10)) "$1 more samples" recorded_since $((now - now % SLOT + SLOT)) "$1"
}

ready_is() {
    get /health/ready || true
    case $seen in *'"status":"ok"'*) [ "$1" = yes ] ;; *) [ "$1" = no ] ;; esac
}

# readme HEADING: runs the commands below a heading of README.md unchanged.
readme() {
    awk -v heading="$1" '$0 == heading { found = 1 }
        inside && /^```$/ { exit } inside { print } found && /^```sh$/ { inside = 1 }' README.md |
        sed "s|cotiza\.rdb\|samples\.csv|$work/&|" >"$work/example.sh"
    [ -s "$work/example.sh" ] || fail "README.md has no commands below \"$1\""
    (
        docker() {
            if [ "$1" = compose ]; then
                shift
                compose "$@"
            else
                command docker "$@"
            fi
        }
        set -e
        . "$work/example.sh"
    ) >"$work/output" 2>&1 || {
        cat "$work/output"
        fail "the commands below \"$1\""
    }
}

base_images() {
    local config name
    config=$(compose config)
    base_image=$(sed -n 's/^ *BASE_IMAGE: *//p' <<<"$config" | head -1)
    for name in "$base_image" $(sed -n 's/^ *RUST_IMAGE: *//p; s/^ *image: *\(redis.*\)/\1/p' <<<"$config" | sort -u); do
        docker image inspect "$name" >/dev/null 2>&1 || docker pull --quiet "$name" 2>/dev/null ||
            docker/offline/make-base-images.sh
    done
}

image() {
    local megabytes
    megabytes=$((($(docker image inspect -f '{{.Size}}' "$COTIZA_IMAGE") - \
        $(docker image inspect -f '{{.Size}}' "$base_image")) / 1000000))
    [ "$megabytes" -lt "$IMAGE_LIMIT_MB" ] || fail "the image adds $megabytes MB to its base"
    seen=$(docker image inspect -f '{{.Config.User}} {{index .Config.Labels "org.opencontainers.image.revision"}}' "$COTIZA_IMAGE")
    [ "$seen" = "10001:10001 $COMMIT" ] || fail "user and revision of the image: $seen"
    seen=$(docker run --rm --read-only --cap-drop ALL --network none "$COTIZA_IMAGE" --version)
    [[ $seen == "cotiza "*"$COMMIT"* ]] || fail "cotiza --version: $seen, at commit $COMMIT"
    step "the image adds $megabytes MB to its base: $seen"
}

confinement() {
    local service container
    for service in redis scheduler worker api exchange; do
        container=$(containers "$service")
        seen=$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.RestartPolicy.Name}} {{index .HostConfig.LogConfig.Config "max-size"}}' "$container")
        [ "$seen" = "true [ALL] [no-new-privileges:true] unless-stopped 10m" ] || fail "$service: $seen"
        seen=$(docker inspect -f '{{.Config.User}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$container")
        [[ $seen =~ ^[1-9][0-9:]*\ [1-9][0-9]*\ [1-9][0-9]*$ ]] || fail "$service: $seen"
    done
    seen=$(docker port "$(containers redis)")
    [ -z "$seen" ] || fail "Redis is published: $seen"
    seen=$(compose exec -T redis redis-cli ping 2>&1 || true)
    [[ $seen == *NOAUTH* ]] || fail "Redis answers without a password: $seen"
    seen=$(docker inspect "$(containers redis)" "$(containers worker)"; docker top "$(containers redis)")
    [[ $seen != *"$(cut -c1-32 "$REDIS_PASSWORD_FILE")"* ]] || fail "docker inspect or docker top shows the password"
}

killed() {
    local service=$1 container from
    container=$(containers "$service" | head -1)
    from=$(date +%s)
    quietly docker kill "$container"
    case $service in
    worker | scheduler) still_records 3 ;;
    redis)
        wait_for 10 "an API that reports that Redis is unavailable" ready_is no
        [[ $seen == *'"status":"stale"'* ]] || fail "status without Redis: $seen"
        get "/api/ticker-list/?page=last"
        [[ $seen == *'"results":[{'* ]] || fail "no response from memory: $seen"
        wait_for 30 "an unhealthy worker" health_is unhealthy "$(containers worker | head -1)"
        sleep $((2 * SLOT)) # at least one slot begins and ends without Redis
        ;;
    esac
    quietly docker start "$container"
    wait_for 40 "all healthy after $service was killed" all_healthy 2 3
    wait_for 10 "ready" ready_is yes
    still_records 2
    [ "$service" != redis ] || wait_for 10 "slots missed because of Redis" redis_was_unavailable_since "$from"
    step "$service was killed and recovered"
}

cut_off() {
    local container
    container=$(containers worker | head -1)
    quietly docker network disconnect "${PROJECT}_data" "$container"
    wait_for 30 "an unhealthy disconnected worker" health_is unhealthy "$container"
    still_records 2
    quietly docker network connect "${PROJECT}_data" "$container"
    wait_for 30 "the worker to be healthy again" health_is healthy "$container"
    step "a worker was disconnected from the network and recovered"
}

# Everything that is stopped by SIGTERM exits with 0, in time.
stopped() {
    local container
    quietly compose stop scheduler worker api
    for container in $(containers scheduler) $(containers worker) $(containers api); do
        seen=$(docker inspect -f '{{.Name}} {{.State.ExitCode}}' "$container")
        [[ $seen == *" 0" ]] || fail "stopped, exit code: $seen"
    done
}

# history FILE: exports all samples.
history() {
    compose exec -T api cotiza prices export >"$1"
}

# kept FILE FILE: checks that all samples of the first file, which are not few, are in the second one.
kept() {
    seen="$(wc -l <"$1") lines, then $(wc -l <"$2")"
    [ "$(wc -l <"$1")" -gt 5 ] || fail "too few samples to compare: $seen"
    ! comm -23 <(sort "$1") <(sort "$2") | grep . || fail "samples were lost: $seen"
}

# audit SINCE UNTIL: checks that every slot is recorded once or missed.
audit() {
    local expected recorded missed pending gaps doubles
    get "/api/coverage/?since=$1&until=$2"
    expected=$(field expected) recorded=$(field recorded) missed=$(field missed) pending=$(field pending)
    step "coverage: $seen"
    [ "$expected" -eq $((($2 - $1 + 1) / SLOT)) ] || fail "slots expected from $1 to $2: $expected"
    [ $((recorded + missed)) -eq "$expected" ] && [ "$pending" -eq 0 ] || fail "recorded and missed slots do not add up to the expected ones"
    [ $((2 * recorded)) -gt "$expected" ] || fail "more slots were missed than recorded"
    get "/api/gaps/?since=$1&until=$2&page_size=1000"
    gaps=$(grep -o '"slots":[0-9]*' <<<"$seen" | awk -F: '{ sum += $2 } END { print sum + 0 }')
    [ "$gaps" -eq "$missed" ] || fail "the gaps have $gaps slots, $missed were missed: $seen"
    history "$work/all"
    doubles=$(grep -o '^[0-9]*' "$work/all" | awk -v slot=$SLOT '{ print int($1 / slot) }' | sort | uniq -d)
    [ -z "$doubles" ] || fail "slots recorded twice: $doubles"
    seen=$(grep -o '^[0-9]*' "$work/all" | awk -v a="$1" -v b="$2" '$1 >= a && $1 <= b' | wc -l)
    [ "$seen" -eq "$recorded" ] || fail "$recorded slots were recorded, but there are $seen samples"
}

step "with $("${COMPOSE[@]}" version --short), engine $(docker version -f '{{.Server.Version}}')"
base_images
step "the base images are available"
quietly compose build
image
quietly docker stack config -c docker/stack.yml

quietly compose up -d
health_is healthy "$(containers redis)" || fail "up did not wait for Redis: $seen"
wait_for 30 "all healthy" all_healthy 1 1
confinement
since=$(date +%s)
since=$((since - since % SLOT))
still_records 2
step "it is up, healthy and records"

quietly compose up -d --no-recreate --scale worker=3 --scale scheduler=2
wait_for 30 "three workers and two schedulers" all_healthy 2 3
step "three workers and two schedulers run"

for service in worker scheduler api redis; do killed "$service"; done
cut_off

history "$work/before"
stopped
quietly compose down
quietly compose up -d --scale worker=3 --scale scheduler=2
wait_for 40 "all healthy again" all_healthy 2 3
history "$work/after"
kept "$work/before" "$work/after"
still_records 2
step "down and up kept the history"

readme "### Back up"
readme "### Samples alone"
grep -q "^imported 0 samples" "$work/output" || fail "existing samples were imported again: $(cat "$work/output")"
step "the samples were exported and imported again"
history "$work/before"
quietly compose down --volumes
readme "### Restore"
wait_for 40 "all healthy after a restore" all_healthy 1 1
history "$work/after"
# The backup is older than the export by at most a slot or two.
head -n -3 "$work/before" >"$work/backed-up"
kept "$work/backed-up" "$work/after"
still_records 2
step "a backup was restored into an empty volume"

until=$(date +%s)
until=$((until - until % SLOT - 2 * SLOT))
audit "$since" $((until - 1))
step "passed"
