"""Measures how soon Cotiza records again after a failure of Redis. Prints a table.

Usage: bench.py [--binary FILE] [--rounds N] [--json FILE] [GROUP...]     (groups: single, sentinel, cluster)

For each group it starts real servers on free ports of 127.0.0.1, and a scheduler, two workers and an api
with slots of one second, which run during all faults. Each fault is caused N times. The result is the time
from the moment when a new client can write to Redis until the first sample after that. It includes 0.5 s on
average for the wait for the next slot. All processes end with this program. The exit code is 1 if a defect
of Cotiza was found.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import report
from cluster import Cluster
from cotiza import Cotiza, prepare_program
from faults import FAULTS
from redis_server import REDIS_SERVER
from rounds import evaluate, run_round
from sentinel import Sentinel
from stack import Failed, Processes
from topology import Proxied, Single

GROUPS = {"single": [Single, Proxied], "sentinel": [Sentinel], "cluster": [Cluster]}
TARGET = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[2] / "target"
NOTED_AFTER = 16
START = time.monotonic()


def say(text):
    print(f"{time.monotonic() - START:5.0f}s  {text}", flush=True)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.rounds, self.defects = [], []
        # Warnings and errors in the logs with their counts, by kind of Redis.
        self.log_lines = {}

    def run(self):
        for group in self.arguments.groups:
            for kind in GROUPS[group]:
                try:
                    self.run_on(kind)
                except Failed as error:
                    self.fail(kind, error)

    def run_on(self, kind):
        folder = self.folder / kind.__name__
        folder.mkdir()
        processes = Processes(folder, {})
        options = {"min_replicas": self.arguments.min_replicas} if kind is Sentinel else {}
        topology, rounds = kind(processes, **options), []
        try:
            topology.start()
            cotiza = Cotiza(processes, self.arguments.binary, topology.url, topology.environment)
            cotiza.start()
            say(f"{kind.__name__}: {topology.url}")
            try:
                self.run_faults(kind, topology, cotiza, rounds)
            except Failed as error:
                self.fail(kind, error)
            finally:
                self.log_lines[kind.__name__] = cotiza.log_lines()
            # The scheduler records the slots that a failover lost ten seconds later.
            time.sleep(NOTED_AFTER)
            for one in rounds:
                evaluate(one, topology, cotiza)
                self.rounds.append(one)
        finally:
            topology.close()
            processes.end_all()

    def run_faults(self, kind, topology, cotiza, rounds):
        for fault in self.faults(kind):
            for _ in range(self.arguments.rounds):
                rounds.append(run_round(fault, topology, cotiza))
                say(report.line(rounds[-1]))

    def fail(self, kind, error):
        self.defects.append(f"{kind.__name__}: {error}")
        say(f"FAILED: {error}")

    def faults(self, kind):
        wanted = self.arguments.fault
        return [fault for fault in FAULTS[kind.__name__] if not wanted or wanted in fault.name]

    def report(self):
        self.defects += [defect for one in self.rounds for defect in one.defects]
        print(report.table(self.rounds))
        print(report.logs(self.log_lines))
        print(*(f"DEFECT  {defect}" for defect in self.defects), sep="\n")
        if self.arguments.json:
            rounds = [report.as_json(one) for one in self.rounds]
            found = {"rounds": rounds, "defects": self.defects, "logs": self.log_lines}
            self.arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("groups", nargs="*", default=list(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--binary", type=Path, default=Path(TARGET) / "debug" / "cotiza")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 5))
    parser.add_argument("--fault", help="only faults with this text in their names")
    parser.add_argument("--min-replicas", type=int, default=0, help="min-replicas-to-write, with Sentinels")
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"unknown group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    arguments.binary = arguments.binary.resolve()
    return arguments


def missing(arguments):
    """Returns the required programs that are not installed."""
    programs = [REDIS_SERVER, arguments.binary]
    if "cluster" in arguments.groups:
        programs.append("redis-cli")
    return [str(program) for program in programs if not shutil.which(program)]


def main():
    arguments = parse_arguments()
    if absent := missing(arguments):
        print(f"bench-failover: skipped, since these are missing: {', '.join(absent)}")
        return
    prepare_program()
    folder = Path(tempfile.mkdtemp(prefix="cotiza-failover-"))
    bench = Bench(arguments, folder)
    try:
        bench.run()
    finally:
        bench.report()
        if arguments.keep or bench.defects:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if bench.defects else 0)


main()
