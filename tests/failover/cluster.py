"""A Redis Cluster."""

import time

from client import ServerError, attempt, call, info
from redis_server import RedisServer, stable_ports
from stack import Failed, wait_for
from topology import SCRATCH, Topology, is_in_sync

# A key in each of the two cluster slots that Cotiza uses: for the samples and for the queues.
KEYS = (SCRATCH, "{n76}:bench")
NODE_TIMEOUT_MS = 2000


class Cluster(Topology):
    """Three masters with one replica each."""

    def __init__(self, processes):
        super().__init__(processes)
        # Port + 10000 is the cluster bus.
        ports = stable_ports(6, offsets=(0, 10000))
        options = {"--cluster-enabled": "yes", "--cluster-node-timeout": NODE_TIMEOUT_MS,
                   "--repl-diskless-sync-delay": 0}  # fmt: skip
        self.servers = [RedisServer(processes, f"redis-{port}", port, options) for port in ports]
        self.url = "redis://" + ",".join(f"127.0.0.1:{port}" for port in ports[:3])

    def start(self):
        for server in self.servers:
            server.start()
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        self.processes.run(["redis-cli", "--cluster", "create", *nodes, "--cluster-replicas", "1",
                            "--cluster-yes"])  # fmt: skip
        self.settle()
        # Both slots are on one master now. On two masters, a fault affects either the samples or the queues.
        samples = self.owner(KEYS[0])
        other = next(server for server in self.masters() if server is not samples)
        self.move_slot(KEYS[1], other)
        self.settle()

    def ask(self, key, *words):
        """Returns the port of the server that has the key, found like by a new client, and its response; None
        if there is none."""
        ports = [server.port for server in self.servers if server.port not in self.excluded]
        port = next((port for port in ports if attempt(port, "PING", timeout=0.3)), None)
        for _ in range(5):
            if port is None or port in self.excluded:
                return None
            try:
                return port, call(port, *words, timeout=0.3)
            except ServerError as error:
                kind, *rest = str(error).split()
                port = int(rest[1].rpartition(":")[2]) if kind == "MOVED" else None
            except OSError:
                return None
        return None

    def owner(self, key):
        """Returns the master that has the key."""
        found = self.ask(key, "EXISTS", key)
        if not found:
            raise Failed(f"no node has {key}")
        return self.server_at(found[0])

    def usable(self):
        found = [self.ask(key, "SET", key, 1, "EX", 60) for key in KEYS]
        if not all(found):
            return None
        self.primary_port = found[0][0]
        return self.newest()

    def nodes(self, port):
        """Returns CLUSTER NODES as rows of words: id, address, flags, id of the master, ..., slots."""
        return [line.split() for line in (attempt(port, "CLUSTER", "NODES") or "").splitlines()]

    def masters(self):
        roles = [(server, info(server.port, "replication").get("role")) for server in self.servers]
        return [server for server, role in roles if role == "master"]

    def move_slot(self, key, target, pause=0.0):
        """Moves the slot of a key to another master, key by key, like `redis-cli --cluster reshard`. The
        pause in seconds is between two keys."""
        source = self.owner(key)
        slot = call(source.port, "CLUSTER", "KEYSLOT", key)
        source_id, target_id = (call(one.port, "CLUSTER", "MYID") for one in (source, target))
        call(target.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        call(source.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        end = time.monotonic() + 20
        while keys := call(source.port, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            call(source.port, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys, timeout=6)
            time.sleep(pause)
            if time.monotonic() > end:
                raise Failed(f"the keys of slot {slot} were not moved within 20 s")
        others = [server for server in self.masters() if server not in (source, target)]
        for server in (target, source, *others):
            call(server.port, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def replicas_of(self, server):
        """Returns the replicas of a master."""
        rows = self.nodes(server.port)
        own = next(row[0] for row in rows if "myself" in row[2])
        ports = [int(row[1].partition("@")[0].rpartition(":")[2]) for row in rows if row[3] == own]
        return [self.server_at(port) for port in ports]

    def settle(self):
        wait_for("a cluster without a fault", self._is_settled, 30)

    def _is_settled(self):
        for server in self.servers:
            rows = self.nodes(server.port)
            if len(rows) != len(self.servers) or any("fail" in row[2] for row in rows):
                return False
            if info(server.port, "replication").get("role") == "slave" and not is_in_sync(server.port):
                return False
            state = attempt(server.port, "CLUSTER", "INFO") or ""
            if "cluster_state:ok" not in state or sum("master" in row[2] for row in rows) != 3:
                return False
        return self.usable() is not None
