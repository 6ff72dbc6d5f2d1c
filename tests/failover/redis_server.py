"""A redis-server of the tests, which keeps its folder and port over restarts."""

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "observe"))

from client import attempt
from proxy import Proxy
from stack import Failed, wait_for

REDIS_SERVER = shutil.which("redis-server") or "redis-server"


def stable_ports(count, offsets=(0,)):
    """Returns free ports below those that Linux uses for outgoing connections, so that a restarted server
    gets its port again. With offsets, port + offset is free for each of them."""
    ports = []
    for port in random.sample(range(15000, 22000), 7000):
        with contextlib.suppress(OSError):
            for offset in offsets:
                socket.create_server(("127.0.0.1", port + offset)).close()
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed(f"no {count} free ports found")


class RedisServer:
    """A server that listens on `port`. `address` is the port that clients use: that of its proxy, if any."""

    def __init__(self, processes, name, port, options=(), program=None, is_proxied=False):
        self.processes, self.name, self.port = processes, name, port
        self.program = program or REDIS_SERVER
        self.options = {"--appendonly": "yes", "--save": ""} | dict(options)
        self.folder = processes.folder / name
        self.folder.mkdir()
        self.proxy = Proxy(port) if is_proxied else None
        self.address = self.proxy.port if is_proxied else port
        self.is_paused = False

    def start(self):
        """Starts the server and waits until it accepts connections. It may still be loading its data."""
        command = [self.program, "--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder]
        for name, value in self.options.items():
            command += [name, value]
        self.start_with(command)

    def start_with(self, command):
        self.processes.start(self.name, command)
        wait_for(f"{self.name} to answer", self.answers, 10)

    def answers(self):
        process = self.processes.running[self.name]
        if process.poll() is not None:
            raise Failed(f"{self.name} ended with {process.returncode}, see {self.name}.log")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
            return True
        return False

    def kill(self):
        self.processes.kill(self.name)

    def shutdown(self):
        """Stops the server with SHUTDOWN, which saves the data."""
        attempt(self.port, "SHUTDOWN", timeout=5, password=self.options.get("--requirepass"))
        try:
            self.processes.running.pop(self.name).wait(timeout=10)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end after SHUTDOWN") from None

    def pause(self):
        self.processes.running[self.name].send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self):
        if self.is_paused and self.name in self.processes.running:
            self.processes.running[self.name].send_signal(signal.SIGCONT)
        self.is_paused = False

    def close(self):
        """Must be called before the processes are ended."""
        self.resume()
        if self.proxy:
            self.proxy.close()
