"""Tests whether Cotiza records on the given servers. Prints a table.

Usage: servers.py [--binary FILE] [--slots N] [NAME=PATH | FOLDER]...
       servers.py $(tests/failover/fetch_servers.sh FOLDER)

Each server is started twice, once for each protocol of Redis, with all processes of Cotiza and slots of one
second. In a FOLDER, each program `<name>-server` is a server. Without arguments, the server is redis-server
from the PATH. The exit code is 1 if Cotiza fails on a server.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import report
from client import ServerError, attempt, info, times
from cotiza import Cotiza, prepare_program
from redis_server import REDIS_SERVER, RedisServer, stable_ports
from stack import Failed, Processes, wait_for

TARGET = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[2] / "target"
PROTOCOLS = {"RESP2": "", "RESP3": "?protocol=resp3"}
# The oldest Redis that Cotiza supports.
OLDEST = (6, 2)
QUEUES = {"fetch_btc_ars", "housekeeping"}


class TooOld(Exception):
    """The server is older than those that Cotiza supports."""


class Run:
    """All processes of Cotiza on a server of their own."""

    def __init__(self, folder, program, binary, query):
        folder.mkdir(parents=True)
        self.protocol = "3" if "resp3" in query else "2"
        self.processes = Processes(folder, {})
        [port] = stable_ports(1)
        self.server = RedisServer(self.processes, "redis", port, program=program)
        self.cotiza = Cotiza(self.processes, binary, f"redis://127.0.0.1:{port}/0{query}")

    def start(self):
        self.server.start()
        wait_for("redis to answer PING", lambda: attempt(self.server.port, "PING"), 10)
        compatible = info(self.server.port, "server")["redis_version"]
        if tuple(map(int, compatible.split(".")[:2])) < OLDEST:
            raise TooOld(f"skipped: older than {OLDEST[0]}.{OLDEST[1]}")
        self.cotiza.start()

    def version(self):
        facts = info(self.server.port, "server")
        # Forks of Redis report the Redis version that they are compatible with as redis_version.
        for fork in ("valkey", "redict"):
            if version := facts.get(f"{fork}_version"):
                return f"{fork} {version}"
        return f"redis {facts.get('redis_version', '?')}"

    def samples(self):
        return times(attempt(self.server.port, "ZRANGE", "prices", 0, -1, "WITHSCORES") or [])

    def check(self, slots):
        """Fails if Cotiza does not work. Must be called after the given number of slots."""
        recorded = self.samples()
        counts = Counter(recorded)
        if doubles := [moment for moment, count in counts.items() if count > 1]:
            raise Failed(f"two samples in the slots {doubles}")
        if len(counts) < slots:
            raise Failed(f"{len(counts)} samples in {slots} slots")
        if gaps := set(range(min(counts), max(counts))) - set(counts):
            raise Failed(f"no samples in the slots {sorted(gaps)}")
        self.check_protocol()
        self.check_commands(counts)
        if ended := self.cotiza.ended():
            raise Failed(f"{', '.join(ended)} ended unexpectedly")

    def check_protocol(self):
        """Checks the protocol of all connections. Servers before Redis 7 do not report it."""
        clients = (attempt(self.server.port, "CLIENT", "LIST") or "").splitlines()
        named = [dict(word.partition("=")[::2] for word in client.split()) for client in clients]
        # This connection is excluded.
        used = {client["resp"] for client in named if "resp" in client and client["cmd"] != "client|list"}
        if used and used != {self.protocol}:
            raise Failed(f"connections use the protocols {sorted(used)}")

    def check_commands(self, counts):
        status = json.loads(self.cotiza.run("status", "--json"))
        if status["problems"] or not status["price"]:
            raise Failed(f"cotiza status: {status['problems']}, price {status['price']}")
        listed = self.cotiza.run("prices", "list", "--page-size", "1000").splitlines()
        missing = [moment for moment in counts if not any(line.startswith(str(moment)) for line in listed)]
        if missing:
            raise Failed(f"cotiza prices list does not have {missing}")
        queues = json.loads(self.cotiza.run("queue", "ls", "--json"))
        names = {queue["name"] for queue in queues["queues"]}
        if not names >= QUEUES:
            raise Failed(f"cotiza queue ls has {sorted(names)}")

    def end(self):
        """Ends all processes of Cotiza and checks their exit codes."""
        codes = {}
        for role, process in list(self.processes.running.items()):
            if process is not self.processes.running.get("redis"):
                self.processes.end(role)
                codes[role] = process.returncode
        if wrong := {role: code for role, code in codes.items() if code != 0}:
            raise Failed(f"exit codes {wrong}")

    def close(self):
        self.server.close()
        self.processes.end_all()


def run_server(name, program, arguments, folder):
    """Returns a row of the table for each protocol."""
    runs, results, rows = {}, {}, []
    try:
        for protocol, query in PROTOCOLS.items():
            run = runs[protocol] = Run(folder / f"{name}-{protocol}", program, arguments.binary, query)
            results[protocol] = result_of(run.start)
        if "ok" in results.values():
            # The first slots may pass during the start.
            time.sleep(arguments.slots + 1)
        for protocol, run in runs.items():
            version, samples = run.version(), len(run.samples())
            for step in (lambda run=run: run.check(arguments.slots), run.end):
                if results[protocol] == "ok":
                    results[protocol] = result_of(step)
            rows.append((name, version, protocol, samples, results[protocol]))
            if results[protocol].startswith("FAILED"):
                run.processes.logs(4)
            elif lines := run.cotiza.log_lines():
                print(f"{name} {protocol}:", *(f"{count} x {text}" for text, count in lines.items()), sep="\n  ")
    finally:
        for run in runs.values():
            run.close()
    return rows


def result_of(step):
    """Returns `ok`, or the reason of the failure."""
    try:
        step()
    except TooOld as error:
        return str(error)
    except (Failed, ServerError, OSError, KeyError, ValueError) as error:
        return f"FAILED: {' '.join(str(error).split())}"[:400]
    return "ok"


def found_servers(arguments):
    """Returns the names and paths of the servers."""
    servers = {}
    for text in arguments.servers or [f"redis-server={REDIS_SERVER}"]:
        name, _, path = text.partition("=")
        if path:
            # Links are not resolved, since the name of the program determines its behaviour.
            servers[name] = Path(path).absolute()
        elif Path(text).is_dir():
            for program in sorted(Path(text).absolute().glob("*-server")):
                servers[program.name.removesuffix("-server")] = program
        else:
            raise SystemExit(f"test-servers: {text} is neither NAME=PATH nor a folder")
    return servers


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("servers", nargs="*", metavar="NAME=PATH|FOLDER")
    parser.add_argument("--binary", type=Path, default=Path(TARGET) / "debug" / "cotiza")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary.resolve()
    return arguments


def main():
    arguments = parse_arguments()
    servers = found_servers(arguments)
    if not shutil.which(arguments.binary):
        print(f"test-servers: skipped, since {arguments.binary} does not exist")
        return
    prepare_program()
    folder = Path(tempfile.mkdtemp(prefix="cotiza-servers-"))
    rows, has_failed = [("server", "version", "protocol", "samples", "result")], False
    try:
        for name, program in servers.items():
            if not shutil.which(program):
                print(f"{name}: skipped, since {program} does not exist")
                continue
            for row in run_server(name, program, arguments, folder):
                rows.append(row)
                has_failed |= row[-1].startswith("FAILED")
                print(*row, sep="  ", flush=True)
        print("", report.aligned(rows), sep="\n")
    finally:
        if arguments.keep or has_failed:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if has_failed else 0)


main()
