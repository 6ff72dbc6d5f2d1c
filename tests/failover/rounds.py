"""One round of a fault: measurements during the fault, and the evaluation afterwards."""

import math
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from client import attempt, times
from stack import Failed, wait_for

POLL = 0.02
# Limits in seconds until Redis is usable again, and until Cotiza records after that.
USABLE_WITHIN = 30
RECORDED_WITHIN = 30
# A longer time after Redis is usable is reported as a defect.
RECORDS_SOON = 5


@dataclass
class Round:
    fault: str
    # The slots of the round: from `since` until before `until`.
    since: int
    until: int = 0
    # Seconds from the fault until Redis is usable, and from then until the first sample is in Redis and in a
    # response of the api.
    outage: float = math.nan
    recorded: float = math.nan
    served: float = math.nan
    # Times of the samples that the affected server had.
    witnessed: set = field(default_factory=set)
    # Number of missed slots and their reasons; slots with two samples; samples that a failover lost.
    missed: int = 0
    reasons: dict = field(default_factory=dict)
    doubles: list = field(default_factory=list)
    lost: list = field(default_factory=list)
    lost_reasons: dict = field(default_factory=dict)
    defects: list = field(default_factory=list)


def poll(what, condition, seconds):
    """Like `wait_for`, but checks every 20 ms and accepts any value but None. Returns its time, too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (value := condition()) is not None:
            return time.monotonic(), value
        time.sleep(POLL)
    raise Failed(f"waited {seconds} s for {what}")


class Witness:
    """Collects the samples of one server until it is closed, including those that the server loses later."""

    def __init__(self, server, password):
        self.server, self.password = server, password
        self.times = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        newest = ("ZRANGE", "prices", -20, -1, "WITHSCORES")
        while not self.ending.wait(0.1):
            answer = attempt(self.server.port, *newest, timeout=0.5, password=self.password)
            self.times.update(times(answer or []))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


def wait_for_steady(topology, slots=3):
    """Waits until the last slots up to now are all recorded."""

    def is_steady():
        newest, now = set(topology.samples()[-slots - 1 :]), int(time.time())
        return any(all(last - back in newest for back in range(slots)) for last in (now, now - 1))

    wait_for(f"{slots} slots in a row to be recorded", is_steady, RECORDED_WITHIN)


def run_round(fault, topology, cotiza):
    name = fault.name
    fault.prepare(topology)
    wait_for_steady(topology)
    # The fault happens at a random time within a slot.
    time.sleep(random.random())
    result = Round(name, since=int(time.time()) - 2)
    topology.excluded = set()
    failing = topology.server_at(topology.primary_port)
    with Witness(failing, topology.password) as witness:
        witness.times.update(topology.samples())
        began = time.monotonic()
        repair = fault.cause(topology)
        try:
            measure(result, began, topology, cotiza)
        except Failed as error:
            result.defects.append(f"{name}: {error}")
        if repair:
            repair()
    result.witnessed = witness.times
    topology.excluded = set()
    topology.settle()
    try:
        wait_for_steady(topology)
    except Failed as error:
        result.defects.append(f"{name}, after all servers were running again: {error}")
    if ended := cotiza.ended():
        raise Failed(f"{name}: {', '.join(ended)} ended unexpectedly")
    result.until = int(time.time()) - 1
    return result


def measure(result, began, topology, cotiza):
    usable_at, newest_then = poll("Redis to be usable", topology.usable, USABLE_WITHIN)
    result.outage = usable_at - began

    def recorded():
        newest = topology.newest()
        return newest if newest > newest_then else None

    def served():
        return True if cotiza.newest() >= newest else None

    recorded_at, newest = poll("a sample", recorded, RECORDED_WITHIN)
    result.recorded = recorded_at - usable_at
    served_at, _ = poll("the api to serve it", served, RECORDED_WITHIN)
    result.served = served_at - usable_at
    if result.served > RECORDS_SOON:
        result.defects.append(
            f"{result.fault}: recorded {result.recorded:.1f} s and served {result.served:.1f} s after "
            f"Redis was usable, at {time.time():.1f}"
        )


def evaluate(result, topology, cotiza):
    """Evaluates the slots of the round. Must be called when later rounds cannot change them."""
    counts = Counter(moment for moment in topology.samples() if result.since <= moment < result.until)
    coverage = cotiza.coverage(result.since, result.until - 1)
    result.missed = coverage["missed"]
    result.reasons = {reason: count for reason, count in coverage["reasons"].items() if count}
    result.doubles = sorted(moment for moment, count in counts.items() if count > 1)
    witnessed = {moment for moment in result.witnessed if result.since <= moment < result.until}
    result.lost = sorted(witnessed - set(counts))
    result.lost_reasons = cotiza.reasons(result.lost)
    if result.doubles:
        result.defects.append(f"{result.fault}: two samples in the slots {result.doubles}")
    if coverage["recorded"] != len(counts):
        result.defects.append(
            f"{result.fault}: the api counts {coverage['recorded']} recorded slots from {result.since} "
            f"to {result.until - 1}, Redis has samples in {len(counts)}"
        )
    if sum(result.reasons.values()) != result.missed:
        result.defects.append(f"{result.fault}: {result.missed} slots missed, but reasons {result.reasons}")
    listed = cotiza.ask("/api/gaps/", since=result.since, until=result.until - 1, page_size=1000)
    if listed is None or sum(gap["slots"] for gap in listed["results"]) != result.missed:
        result.defects.append(f"{result.fault}: /api/gaps/ and /api/coverage/ differ: {listed}")
