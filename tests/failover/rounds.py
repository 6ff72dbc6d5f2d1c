"""One round of a fault: what is measured while it happens, and what is found out afterwards."""

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from stack import Failed, wait_for

POLL = 0.02
# Seconds that Redis may take to be usable again, and Cotiza to record after that.
USABLE_WITHIN = 30
RECORDED_WITHIN = 30
# Longer than this after Redis is usable is reported as a defect.
RECORDS_SOON = 5


@dataclass
class Round:
    fault: str
    # The slots from `since` to before `until` belong to the round.
    since: int
    until: int = 0
    # Seconds from the fault to Redis being usable, and from then to the first sample in Redis and in an
    # answer of the api.
    away: float = math.nan
    recorded: float = math.nan
    served: float = math.nan
    # Times of samples that a server has had before a failover.
    witnessed: set = field(default_factory=set)
    # Slots that are missed, and reasons; slots with two samples; samples that a failover lost.
    missed: int = 0
    reasons: dict = field(default_factory=dict)
    doubles: list = field(default_factory=list)
    lost: list = field(default_factory=list)
    lost_reasons: dict = field(default_factory=dict)
    defects: list = field(default_factory=list)


def poll(what, condition, seconds):
    """As `wait_for`, every 20 ms and for any value but None; returns when it was so, too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (value := condition()) is not None:
            return time.monotonic(), value
        time.sleep(POLL)
    raise Failed(f"waited {seconds} s for {what}")


def wait_for_steady(topology, slots=3):
    """Waits until so many slots in a row are recorded, the last of them now."""

    def is_steady():
        times, now = set(topology.samples()[-slots - 1 :]), int(time.time())
        return any(all(last - back in times for back in range(slots)) for last in (now, now - 1))

    wait_for(f"{slots} slots in a row to be recorded", is_steady, RECORDED_WITHIN)


def run_round(name, fault, topology, cotiza):
    wait_for_steady(topology)
    # At any moment of a slot.
    time.sleep(random.random())
    result = Round(name, since=int(time.time()) - 2)
    topology.excluded, topology.witnessed = set(), set(topology.samples())
    began = time.monotonic()
    repair = fault(topology)
    try:
        measure(result, began, topology, cotiza)
    except Failed as error:
        result.defects.append(f"{name}: {error}")
    if repair:
        repair()
    topology.excluded = set()
    topology.settle()
    try:
        wait_for_steady(topology)
    except Failed as error:
        result.defects.append(f"{name}, when all servers were back: {error}")
    if ended := cotiza.ended():
        raise Failed(f"{name}: {', '.join(ended)} ended by itself")
    result.witnessed = topology.witnessed
    result.until = int(time.time()) - 1
    return result


def measure(result, began, topology, cotiza):
    usable_at, newest_then = poll("Redis to be usable", topology.usable, USABLE_WITHIN)
    result.away = usable_at - began

    def newer(newest):
        return newest if newest > newest_then else None

    recorded_at, newest = poll("a sample", lambda: newer(topology.newest()), RECORDED_WITHIN)
    result.recorded = recorded_at - usable_at
    if result.recorded > RECORDS_SOON:
        result.defects.append(f"{result.fault}: recorded {result.recorded:.1f} s after Redis was usable")
    served_at, _ = poll("the api to serve it", lambda: newer(cotiza.newest()), RECORDED_WITHIN)
    result.served = served_at - usable_at
    if result.served > RECORDS_SOON:
        result.defects.append(f"{result.fault}: served {result.served:.1f} s after Redis was usable")


def evaluate(result, topology, cotiza):
    """Fills in what became of the slots of the round. Called when later rounds cannot change it."""
    counts = Counter(time for time in topology.samples() if result.since <= time < result.until)
    coverage = cotiza.coverage(result.since, result.until - 1)
    result.missed = coverage["missed"]
    result.reasons = {reason: count for reason, count in coverage["reasons"].items() if count}
    result.doubles = sorted(time for time, count in counts.items() if count > 1)
    result.lost = sorted(
        time for time in result.witnessed if result.since <= time < result.until and time not in counts
    )
    result.lost_reasons = cotiza.reasons(result.lost)
    if result.doubles:
        result.defects.append(f"{result.fault}: two samples in the slots {result.doubles}")
    if coverage["recorded"] != len(counts):
        result.defects.append(
            f"{result.fault}: the api counts {coverage['recorded']} recorded slots from {result.since} "
            f"to {result.until - 1}, Redis has {len(counts)}"
        )
    if sum(result.reasons.values()) != result.missed:
        result.defects.append(f"{result.fault}: {result.missed} missed, but reasons {result.reasons}")
    listed = cotiza.ask("/api/gaps/", since=result.since, until=result.until - 1, page_size=1000)
    if listed is None or sum(gap["slots"] for gap in listed["results"]) != result.missed:
        result.defects.append(f"{result.fault}: /api/gaps/ and /api/coverage/ differ: {listed}")
