"""The report: a line for each round, and a table with a row for each fault."""

import dataclasses
import math
import statistics

HEADS = ("fault", "rounds", "outage p50", "recorded p50", "max", "served p50", "max", "missed p50", "max",
         "reasons", "duplicates", "lost")  # fmt: skip


def line(one):
    return (
        f"{one.fault}: outage {seconds(one.outage)}, recorded {seconds(one.recorded)}, "
        f"served {seconds(one.served)} after that" + "".join(f"; DEFECT {defect}" for defect in one.defects)
    )


def seconds(number):
    return "never" if math.isnan(number) else f"{number:.2f} s"


def median(numbers):
    """Returns the median; a round without a sample counts as longer than all others."""
    found = statistics.median_high(math.inf if math.isnan(number) else number for number in numbers)
    return seconds(math.nan if math.isinf(found) else found)


def highest(numbers):
    return seconds(math.nan if any(map(math.isnan, numbers)) else max(numbers))


def add_up(counts):
    """Returns the sum of dictionaries of numbers, as text."""
    total = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return ", ".join(f"{name} {count}" for name, count in sorted(total.items()))


def row(name, rounds):
    recorded = [one.recorded for one in rounds]
    served = [one.served for one in rounds]
    missed = [one.missed for one in rounds]
    lost = sum(len(one.lost) for one in rounds)
    reasons = add_up(one.lost_reasons for one in rounds)
    return (
        name,
        len(rounds),
        median([one.outage for one in rounds]),
        median(recorded),
        highest(recorded),
        median(served),
        highest(served),
        statistics.median_high(missed),
        max(missed),
        add_up(one.reasons for one in rounds),
        sum(len(one.doubles) for one in rounds),
        f"{lost} ({reasons})" if lost else "0",
    )


def table(rounds):
    names = list(dict.fromkeys(one.fault for one in rounds))
    return aligned([HEADS, *(row(name, [one for one in rounds if one.fault == name]) for name in names)])


def aligned(rows):
    """Returns the rows as text with aligned columns."""
    texts = [[str(cell) for cell in cells] for cells in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in texts)


def logs(lines_by_kind):
    """Returns the warnings and errors in the logs as text, the most frequent ones first."""
    lines = []
    for kind, found in lines_by_kind.items():
        lines += [f"{kind}: warnings and errors in the logs: {sum(found.values())}"]
        often = sorted(found.items(), key=lambda item: -item[1])
        lines += [f"  {count:4} x {text}" for text, count in often[:20]]
    return "\n".join(lines)


def as_json(one):
    """Returns a round as a dictionary; a time that was not reached is None."""
    values = dataclasses.asdict(one) | {"witnessed": sorted(one.witnessed)}
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
