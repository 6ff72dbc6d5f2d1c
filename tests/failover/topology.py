"""The base class of all kinds of Redis in the tests, and the kinds with a single address."""

from client import Client, ServerError, attempt, call, info, times
from proxy import Proxy
from redis_server import RedisServer, stable_ports
from stack import wait_for

# A key that Cotiza does not use, in the cluster slot of the samples.
SCRATCH = "{prices}:bench"


class Topology:
    """Servers that are used as one Redis. A subclass sets `servers`, `url` and `primary_port`, the port of
    the server that has the samples."""

    url = ""
    primary_port = 0
    password = None

    def __init__(self, processes):
        self.processes = processes
        self.servers = []
        # Environment variables for Cotiza.
        self.environment = {}
        # Ports of servers that do not count as usable, since they are being replaced because of a fault.
        self.excluded = set()

    def server_at(self, address):
        return next(server for server in self.servers if server.address == address)

    def samples(self):
        """Returns the times of all samples on the current primary."""
        answer = attempt(self.primary_port, "ZRANGE", "prices", 0, -1, "WITHSCORES", password=self.password)
        return times(answer or [])

    def newest(self):
        """Returns the time of the newest sample, 0 if there is none."""
        newest = ("ZRANGE", "prices", -1, -1, "WITHSCORES")
        answer = attempt(self.primary_port, *newest, timeout=0.5, password=self.password)
        return max(times(answer or []), default=0)

    def settle(self):
        """Waits until the next fault may be caused."""

    def close(self):
        for server in self.servers:
            server.close()


def set_and_newest(port, password=None):
    """Returns the time of the newest sample if a new connection can write now, else None."""
    try:
        with Client(port, timeout=0.3, password=password) as client:
            newest = ("ZRANGE", "prices", -1, -1, "WITHSCORES")
            answers = client.pipeline(("SET", SCRATCH, 1, "EX", 60), newest)
    except (OSError, ServerError):
        return None
    if any(isinstance(answer, ServerError) for answer in answers):
        return None
    return max(times(answers[1]), default=0)


def is_in_sync(port):
    facts = info(port, "replication")
    return facts.get("role") == "slave" and facts.get("master_link_status") == "up"


class Single(Topology):
    """One server with a password that Cotiza reads from a file."""

    def __init__(self, processes, program=None):
        super().__init__(processes)
        [self.primary_port] = stable_ports(1)
        self.password_file = processes.folder / "password"
        self.server = RedisServer(processes, "redis", self.primary_port, program=program)
        self.servers = [self.server]
        self.set_password("first")
        self.url = f"redis://127.0.0.1:{self.primary_port}/0"
        self.environment = {"COTIZA__REDIS__PASSWORD_FILE": str(self.password_file)}

    def set_password(self, password):
        self.password = self.server.options["--requirepass"] = password
        self.password_file.write_text(password + "\n")

    def start(self):
        self.server.start()
        wait_for("redis", lambda: self.usable() is not None, 10)

    def usable(self):
        return set_and_newest(self.primary_port, self.password)


class Proxied(Topology):
    """A primary and a replica behind one address, as with a load balancer."""

    def __init__(self, processes):
        super().__init__(processes)
        ports = stable_ports(2)
        options = {"--repl-diskless-sync-delay": 0}
        self.servers = [RedisServer(processes, f"redis-{port}", port, options) for port in ports]
        self.primary_port, self.replica_port = ports
        self.proxy = Proxy(self.primary_port)
        self.url = f"redis://127.0.0.1:{self.proxy.port}/0"

    def start(self):
        for server in self.servers:
            server.start()
        call(self.replica_port, "REPLICAOF", "127.0.0.1", self.primary_port)
        self.settle()

    def swap(self):
        """Promotes the replica. The proxy sends new connections to it and keeps the old ones."""
        self.primary_port, self.replica_port = self.replica_port, self.primary_port
        call(self.primary_port, "REPLICAOF", "NO", "ONE")
        self.proxy.target = self.primary_port
        call(self.replica_port, "REPLICAOF", "127.0.0.1", self.primary_port)

    def usable(self):
        return set_and_newest(self.proxy.port)

    def settle(self):
        wait_for("the replica", lambda: is_in_sync(self.replica_port), 20)

    def close(self):
        super().close()
        self.proxy.close()
