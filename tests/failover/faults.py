"""The faults of each kind of Redis.

The cause of a fault is a function of the topology. It returns as soon as Redis may be usable again. The
function that it returns repairs the rest after Cotiza has recorded again; None means that nothing is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from client import Client, attempt, call
from cluster import KEYS, NODE_TIMEOUT_MS
from sentinel import SERVICE
from stack import wait_for

# Seconds of an outage of Redis, if the test determines its duration.
OUTAGE = 2
PAUSED_SINGLE = 8
PAUSED = 10


@dataclass
class Fault:
    name: str
    cause: Callable
    # A preparation before the fault, while everything works.
    prepare: Callable = lambda topology: None


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


# One server


def kill_and_restart(single):
    single.server.kill()
    time.sleep(OUTAGE)
    single.server.start()


def pause_and_resume(single):
    single.server.pause()
    time.sleep(PAUSED_SINGLE)
    single.server.resume()


def shutdown_and_start(single):
    single.server.shutdown()
    time.sleep(OUTAGE)
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
    """Returns the primary, which does not count as usable from now on."""
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


def pause_host(sentinel):
    """Pauses the primary and the first Sentinel of the URL, as if both were on one machine that hangs."""
    first = sentinel.sentinels[0]
    first.pause()
    resume_primary = pause_primary(sentinel)

    def resume():
        resume_primary()
        first.resume()

    return resume


def cut_off_primary(sentinel, servers_only=False):
    """Cuts the primary off. With `servers_only`, Cotiza and the Sentinels still reach it, and it accepts
    writes, which are lost when it becomes a replica."""
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
        # A Sentinel does not start a failover for some time after the last one.
        return any(attempt(port, "SENTINEL", "FAILOVER", SERVICE) for port in sentinel.sentinel_ports)

    wait_for("a Sentinel to start a failover", accepted, 20)


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


def fail_over_samples(cluster):
    master = without_master_of(cluster, KEYS[0])
    call(cluster.replicas_of(master)[0].port, "CLUSTER", "FAILOVER")


def wait_after_failover(_):
    """Waits, since a failover too soon after another one counts the votes of that one and is undone."""
    time.sleep(2 * NODE_TIMEOUT_MS / 1000)


def fail_over_to(cluster, replica):
    wait_after_failover(cluster)
    call(replica.port, "CLUSTER", "FAILOVER")
    wait_for(f"{replica.name} to have the samples", lambda: cluster.owner(KEYS[0]) is replica, 5)
    cluster.settle()


def give_samples_to_first(cluster):
    """Makes the first node of the URL the master of the samples."""
    if cluster.owner(KEYS[0]) is not cluster.servers[0]:
        fail_over_to(cluster, cluster.servers[0])


def take_samples_from_first(cluster):
    owner = cluster.owner(KEYS[0])
    if owner is cluster.servers[0]:
        fail_over_to(cluster, cluster.replicas_of(owner)[0])


def move_samples(cluster):
    owner = cluster.owner(KEYS[0])
    target = next(server for server in cluster.masters() if server is not owner)
    cluster.move_slot(KEYS[0], target, pause=0.02)


# By kind of Redis.
FAULTS = {
    "Single": [
        Fault("kill -9, restart after 2 s", kill_and_restart),
        Fault("SIGSTOP for 8 s", pause_and_resume),
        Fault("SHUTDOWN, start after 2 s", shutdown_and_start),
        Fault("password changed", change_password),
    ],
    "Proxied": [
        Fault("server demoted", demote),
        Fault("connections dropped silently", drop_silently),
    ],
    "Sentinel": [
        Fault("kill -9 of the primary", kill_primary),
        Fault("SIGSTOP of the primary", pause_primary),
        Fault("SIGSTOP, primary and a Sentinel", pause_host),
        Fault("primary cut off from all", cut_off_primary),
        Fault("primary cut off from servers", cut_off_from_servers),
        Fault("SENTINEL FAILOVER", ask_for_failover),
    ],
    "Cluster": [
        Fault("kill -9, master of samples", kill_master_of(KEYS[0])),
        Fault("kill -9, master of queues", kill_master_of(KEYS[1])),
        Fault("SIGSTOP, master of samples", pause_master_of(KEYS[0]), take_samples_from_first),
        Fault("SIGSTOP, the same, first in URL", pause_master_of(KEYS[0]), give_samples_to_first),
        Fault("SIGSTOP, master of queues", pause_master_of(KEYS[1])),
        Fault("CLUSTER FAILOVER", fail_over_samples, wait_after_failover),
        Fault("slot of the samples moved", move_samples),
    ],
}
