"""Reads the dashboard and the rules from docker/, and speeds up the rules for a fast test."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "docker/prometheus"
RUNBOOK = "src/api/page/runbook.md"
DASHBOARD = ROOT / "docker/grafana/dashboards/cotiza.json"

# A slot of the test lasts 1 s instead of 10 s, so all times are divided by this.
SPEED = 10
# Limits in seconds that depend on the length of a slot, as in rules.yml. Other limits are unchanged.
LIMITS = ("cotiza:price_age_seconds > 60", "(cotiza_queue_oldest_due_age_seconds) > 30")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def faster(rules):
    """Returns rules.yml with every `for`, range and offset divided by SPEED, and the LIMITS too."""

    def divided(match):
        before, number, unit = match.groups()
        return f"{before}{int(number) * SECONDS[unit] // SPEED}s"

    rules, changed = re.subn(r"(for: |\[|offset )(\d+)([smh])\b", divided, rules)
    assert changed >= 20, f"only {changed} times in rules.yml"
    for limit in LIMITS:
        assert rules.count(limit) == 1, f"rules.yml should have this once: {limit}"
        before, number = limit.rsplit(" ", 1)
        rules = rules.replace(limit, f"{before} {int(number) // SPEED}")
    return rules


def untested_alerts():
    """Returns alerts that rules.test.yml does not expect to fire, or does not expect to be silent."""
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "rules.yml").read_text()))
    tests = (PROMETHEUS / "rules.test.yml").read_text()
    fire = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests))
    silent = set(re.findall(r"alertname: (\w+) }\n", tests))
    return sorted(alerts - (fire & silent))


def anchors():
    """Returns the possible anchors of links into the runbook: its headings as slugs of GitHub, and ids."""
    text = (ROOT / RUNBOOK).read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def dashboard_defects(dashboard):
    """Returns the defects of the dashboard."""
    defects, taken = [], {}
    panels = dashboard["panels"]
    if len({panel["id"] for panel in panels}) < len(panels):
        defects.append("two panels have the same id")
    for panel in panels:
        title, place = panel["title"], panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), title)
                if other != title or x >= 24:
                    defects.append(f"{title}: overlaps with {other}, or exceeds the width")
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            defects.append(f"{title}: no description")
        if panel["type"] in ("stat", "timeseries") and not panel["fieldConfig"]["defaults"].get("unit"):
            defects.append(f"{title}: no unit")
        for target in panel["targets"]:
            if target["datasource"]["uid"] != "${datasource}":
                defects.append(f"{title}: does not use the variable of the data source")
            if re.search(r"\[\d", target["expr"]):
                defects.append(f"{title}: uses a range other than $__rate_interval")
    return sorted(set(defects))


def dashboard_expressions(dashboard, rate_interval):
    """Returns pairs of a title and an expression, with the variables replaced as by Grafana."""
    found = []
    for panel in dashboard["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", variable["query"]["query"]
            ).groups()
            found.append((f"variable {variable['name']}", f"count by ({label}) ({series})"))
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            found.append((f"annotation {annotation['name']}", annotation["expr"]))
    values = {"$__rate_interval": rate_interval}
    for variable in dashboard["templating"]["list"]:
        values["$" + variable["name"]] = variable.get("allValue", "")
    replaced = []
    for title, expression in found:
        for name, value in values.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, f"{title}: an unknown variable in {expression}"
        replaced.append((title, expression))
    return replaced


def selectors(expression):
    """Returns the series that an expression reads, such as `cotiza_processes{role="worker"}`."""
    return re.findall(r'\b(?:cotiza[a-z0-9_:]*|up|ALERTS)(?:\{[^}]*\})?', expression)


def load_dashboard():
    return json.loads(DASHBOARD.read_text())
