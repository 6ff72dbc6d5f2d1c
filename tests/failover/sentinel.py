"""A primary with replicas that is monitored by Sentinels."""

from client import attempt, call
from proxy import SERVER_ADDRESS
from redis_server import RedisServer, stable_ports
from stack import wait_for
from topology import Topology, is_in_sync, set_and_newest

SERVICE = "main"
SENTINELS = 3


class Sentinel(Topology):
    """A primary, two replicas and three Sentinels. Each server is behind a proxy, so that it can be cut off.
    Connections of servers come from another address, so that the proxies can tell them from clients."""

    def __init__(self, processes, min_replicas=0):
        super().__init__(processes)
        *ports, first, second, third = stable_ports(3 + SENTINELS)
        self.sentinel_ports = [first, second, third]
        for port in ports:
            options = {"--bind-source-addr": SERVER_ADDRESS, "--replica-announce-ip": "127.0.0.1",
                       "--min-replicas-to-write": min_replicas, "--min-replicas-max-lag": 2,
                       "--repl-diskless-sync-delay": 0, "--repl-timeout": 5,
                       "--repl-ping-replica-period": 1}  # fmt: skip
            server = RedisServer(processes, f"redis-{port}", port, options, is_proxied=True)
            server.options["--replica-announce-port"] = server.address
            self.servers.append(server)
        self.primary_port = self.servers[0].address
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        self.sentinels = []
        self.url = f"redis+sentinel://{hosts}/{SERVICE}/0"

    def start(self):
        for server in self.servers:
            server.start()
        for server in self.servers[1:]:
            call(server.port, "REPLICAOF", "127.0.0.1", self.primary_port)
        for port in self.sentinel_ports:
            self._start_sentinel(port)
        self.settle()

    def _start_sentinel(self, port):
        sentinel = RedisServer(self.processes, f"sentinel-{port}", port)
        file = sentinel.folder / "sentinel.conf"
        file.write_text(f"""
port {port}
bind 127.0.0.1
bind-source-addr {SERVER_ADDRESS}
dir {sentinel.folder}
sentinel announce-ip 127.0.0.1
sentinel monitor {SERVICE} 127.0.0.1 {self.primary_port} 2
sentinel down-after-milliseconds {SERVICE} 2000
sentinel failover-timeout {SERVICE} 4000
sentinel parallel-syncs {SERVICE} 2
""")
        sentinel.start_with([sentinel.program, file, "--sentinel"])
        self.sentinels.append(sentinel)

    def primary(self):
        """Returns the port of the primary according to a majority of the Sentinels, else None."""
        named = [attempt(sentinel.port, "SENTINEL", "get-master-addr-by-name", SERVICE, timeout=0.3)
                 for sentinel in self.sentinels if not sentinel.is_paused]  # fmt: skip
        ports = [int(answer[1]) for answer in named if answer]
        return next((port for port in ports if 2 * ports.count(port) > SENTINELS), None)

    def usable(self):
        primary = self.primary()
        if primary is None or primary in self.excluded:
            return None
        self.primary_port = primary
        return set_and_newest(primary)

    def settle(self):
        wait_for("the Sentinels to know two replicas", self._is_settled, 30)

    def close(self):
        super().close()
        for sentinel in self.sentinels:
            sentinel.close()

    def _is_settled(self):
        """Returns whether all Sentinels report the same primary, its replicas, and no fault."""
        primary = self.primary()
        if primary is None:
            return False
        replicas = [server for server in self.servers if server.address != primary]
        if not all(is_in_sync(server.port) for server in replicas):
            return False
        for port in self.sentinel_ports:
            found = attempt(port, "SENTINEL", "replicas", SERVICE) or []
            flags = [dict(zip(one[::2], one[1::2], strict=False))["flags"] for one in found]
            others = attempt(port, "SENTINEL", "sentinels", SERVICE) or []
            if flags != ["slave", "slave"] or len(others) != SENTINELS - 1:
                return False
        self.primary_port = primary
        return True
