"""The processes of Cotiza on any kind of Redis, with slots of one second and the simulated exchange."""

import json
import re
import signal
import urllib.error
import urllib.parse
import urllib.request

from redis_server import stable_ports
from stack import Failed, get, wait_for

ROLES = ("exchange", "scheduler", "worker-1", "worker-2", "api")
# Lines of the logs that are counted.
LEVELS = ("ERROR", "WARN")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def interrupted(number, _):
    # A second signal must not interrupt the cleanup.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(128 + number)


def prepare_program():
    """Makes signals run the `finally` blocks, and disables proxies, since everything is on this machine."""
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))


class Cotiza:
    def __init__(self, processes, binary, url, environment=None):
        self.processes, self.binary = processes, binary
        self.exchange, self.api_port = stable_ports(2)
        processes.environment |= {
            "REDIS_URL": url,
            "COTIZA__SCHEDULE__EVERY": "1s",
            "COTIZA__SOURCES__BUENBIT__URL": f"http://127.0.0.1:{self.exchange}/api/market/tickers",
            "COTIZA__EXCHANGE__LISTEN": f"127.0.0.1:{self.exchange}",
            "COTIZA__API__LISTEN": f"127.0.0.1:{self.api_port}",
            "NO_PROXY": "127.0.0.1",
        } | (environment or {})

    def start(self):
        for role in ROLES:
            self.processes.start(role, [self.binary, role.partition("-")[0]])
        wait_for("a price", lambda: self.newest() or self._check_running(), 20)

    def stop(self):
        for role in ROLES:
            if role in self.processes.running:
                self.processes.end(role)

    def _check_running(self):
        if ended := self.ended():
            raise Failed(f"{', '.join(ended)} ended unexpectedly")

    def ended(self):
        """Returns the processes of Cotiza that have ended."""
        return [role for role in self.processes.ended() if role in ROLES]

    def run(self, *words):
        return self.processes.run([self.binary, *words])

    def ask(self, path, **parameters):
        """Returns a response of the api; None if it is not available now."""
        query = urllib.parse.urlencode(parameters)
        try:
            return json.loads(get(f"http://127.0.0.1:{self.api_port}{path}?{query}", "application/json"))
        except urllib.error.HTTPError as error:
            if error.code in (404, 503):
                return None
            raise Failed(f"{path}?{query}: {error.code} {error.read().decode()}") from error
        except OSError:
            return None

    def newest(self):
        """Returns the time of the newest sample that the api serves, 0 if there is none."""
        return (self.ask("/api/latest/") or {}).get("timestamp") or 0

    def coverage(self, since, until):
        """Waits until no slot from `since` to `until` is pending and returns their coverage."""

        def settled():
            answer = self.ask("/api/coverage/", since=since, until=until)
            return answer if answer and answer["pending"] == 0 else None

        return wait_for("all slots to be recorded or missed", settled, 30)

    def reasons(self, slots):
        """Returns how many of the slots were missed, by reason."""
        reasons = {}
        for slot in slots:
            for reason, count in self.coverage(slot, slot)["reasons"].items():
                if count:
                    reasons[reason] = reasons.get(reason, 0) + count
        return reasons

    def log_lines(self):
        """Returns the warnings and errors in the logs, without times and numbers, with their counts."""
        lines = {}
        for role in ROLES:
            log = self.processes.folder / f"{role}.log"
            if not log.exists():
                continue
            for line in COLOUR.sub("", log.read_text(errors="replace")).splitlines():
                words = line.split(maxsplit=1)
                if "panicked" in line or (len(words) == 2 and words[1].startswith(LEVELS)):
                    text = line if "panicked" in line else words[1]
                    key = f"{role.partition('-')[0]}: {re.sub('[0-9]+', '#', text)}"
                    lines[key] = lines.get(key, 0) + 1
        return lines
