"""The faults of each kind of Redis.

A fault is a function of the topology. It returns once Redis may be usable again, and what it returns is
called after Cotiza has recorded again, to bring back what is still away; then None means nothing.
"""

import time

from client import Client, attempt, call
from cluster import KEYS
from sentinel import SERVICE
from stack import Failed, wait_for

# Seconds without Redis where the test decides it.
AWAY = 2
PAUSED_SINGLE = 8
PAUSED = 10


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


# One server


def kill_and_restart(single):
    single.server.kill()
    time.sleep(AWAY)
    single.server.start()


def pause_and_resume(single):
    single.server.pause()
    time.sleep(PAUSED_SINGLE)
    single.server.resume()


def shutdown_and_start(single):
    single.server.shutdown()
    time.sleep(AWAY)
    single.server.start()


def change_password(single):
    password = f"changed-{time.monotonic_ns()}"
    with Client(single.primary_port, password=single.password) as client:
        client.call("CONFIG", "SET", "requirepass", password)
        single.set_password(password)
        client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


# One server behind a proxy


def demote(proxied):
    proxied.swap()


def drop_silently(proxied):
    proxied.proxy.drop_silently()


# Sentinels


def without_primary(sentinel):
    """The primary, which does not count as usable from now on."""
    primary = sentinel.server_at(sentinel.primary_port)
    sentinel.excluded = {primary.address}
    return primary


def kill_primary(sentinel):
    primary = without_primary(sentinel)
    primary.kill()
    return primary.start


def pause_primary(sentinel):
    primary = without_primary(sentinel)
    primary.pause()
    end = time.monotonic() + PAUSED

    def resume():
        sleep_until(end)
        primary.resume()

    return resume


def cut_off_primary(sentinel, servers_only=False):
    """With `servers_only`, Cotiza and the Sentinels can be reached and the old primary goes on accepting
    writes, which it loses when it becomes a replica."""
    primary = without_primary(sentinel)
    primary.proxy.cut_off(servers_only)
    end = time.monotonic() + PAUSED

    def heal():
        sleep_until(end)
        primary.proxy.heal()

    return heal


def cut_off_from_servers(sentinel):
    return cut_off_primary(sentinel, servers_only=True)


def ask_for_failover(sentinel):
    without_primary(sentinel)

    def accepted():
        # A Sentinel does not start one while it remembers the one before.
        return any(attempt(port, "SENTINEL", "FAILOVER", SERVICE) for port in sentinel.sentinel_ports)

    wait_for("a Sentinel that starts a failover", accepted, 20)


# Cluster


def without_master_of(cluster, key):
    master = cluster.owner(key)
    cluster.excluded = {master.port}
    return master


def kill_master_of(key):
    def kill(cluster):
        master = without_master_of(cluster, key)
        master.kill()
        return master.start

    return kill


def pause_master_of(key):
    def pause(cluster):
        master = without_master_of(cluster, key)
        master.pause()
        end = time.monotonic() + PAUSED

        def resume():
            sleep_until(end)
            master.resume()

        return resume

    return pause


def fail_over_cluster(cluster):
    master = without_master_of(cluster, KEYS[0])
    replicas = cluster.replicas_of(master)
    if not replicas:
        raise Failed(f"{master.name} has no replica")
    call(replicas[0].port, "CLUSTER", "FAILOVER")


def move_samples(cluster):
    owner = cluster.owner(KEYS[0])
    target = next(server for server in cluster.masters() if server is not owner)
    cluster.move_slot(KEYS[0], target, pause=0.02)


# By group and topology: a name for the table and the fault.
FAULTS = {
    "Single": [
        ("kill -9, restart after 2 s", kill_and_restart),
        ("SIGSTOP for 8 s", pause_and_resume),
        ("SHUTDOWN, start after 2 s", shutdown_and_start),
        ("password changed", change_password),
    ],
    "Proxied": [
        ("server demoted", demote),
        ("connections dropped silently", drop_silently),
    ],
    "Sentinel": [
        ("kill -9 of the primary", kill_primary),
        ("SIGSTOP of the primary for 10 s", pause_primary),
        ("primary cut off from all", cut_off_primary),
        ("primary cut off from servers", cut_off_from_servers),
        ("SENTINEL FAILOVER", ask_for_failover),
    ],
    "Cluster": [
        ("kill -9, master of samples", kill_master_of(KEYS[0])),
        ("kill -9, master of queues", kill_master_of(KEYS[1])),
        ("SIGSTOP, master of samples", pause_master_of(KEYS[0])),
        ("SIGSTOP, master of queues", pause_master_of(KEYS[1])),
        ("CLUSTER FAILOVER", fail_over_cluster),
        ("slot of the samples moved", move_samples),
    ],
}
