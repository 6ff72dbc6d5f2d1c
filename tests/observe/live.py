"""The live test of run.sh: prints a line for each check and exits with 1 at the first failure."""

import json
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import files
from stack import CheapExchange, Failed, Processes, Prometheus, free_ports, get, wait_for

BINARY = sys.argv[1]
START = time.monotonic()
# A rate needs at least two scrapes, one a second.
RATE_INTERVAL = "10s"

# Series of alerts and expressions of the dashboard that may have no data in this test, and why.
NO_DATA = {
    # In the notation of Prometheus.
    'cotiza_http_request_duration_seconds_count{status!="503",status=~"5.."}': "no such error occurs",
}
# The slots that were missed during the faults stay missed, so this alert keeps firing.
LASTING = {"CotizaLowCoverage"}


def ok(text):
    print(f"{time.monotonic() - START:4.0f}s  ok  {text}")


class Test:
    def __init__(self, folder):
        self.folder = folder
        redis, exchange, worker, prometheus, *self.apis = free_ports(6)
        self.redis, self.exchange, self.worker = redis, exchange, worker
        self.prometheus_port = prometheus
        self.prometheus = Prometheus(prometheus)
        self.processes = Processes(
            folder,
            {
                "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
                "COTIZA__SCHEDULE__EVERY": "1s",
                "COTIZA__QUEUE__HOUSEKEEPING_EVERY": "5s",
                "COTIZA__SOURCES__BUENBIT__URL": f"http://127.0.0.1:{exchange}/api/market/tickers",
                "NO_PROXY": "127.0.0.1",
            },
        )

    # Processes

    def start_redis(self):
        # With a memory limit, so that the used share has a value.
        self.processes.start("redis", [
            "redis-server", "--bind", "127.0.0.1", "--port", self.redis, "--dir", self.folder,
            "--appendonly", "yes", "--save", "", "--maxmemory", "200mb",
            "--maxmemory-policy", "noeviction",
        ])  # fmt: skip

    def start_exchange(self):
        address = f"127.0.0.1:{self.exchange}"
        self.processes.start("exchange", [BINARY, "exchange"], COTIZA__EXCHANGE__LISTEN=address)

    def start_scheduler(self):
        self.processes.start("scheduler", [BINARY, "scheduler"])

    def start_workers(self):
        # One of them serves its own metrics, under the names that the apis use for the whole system.
        address = f"127.0.0.1:{self.worker}"
        self.processes.start("worker-1", [BINARY, "worker"], COTIZA__METRICS__LISTEN=address)
        self.processes.start("worker-2", [BINARY, "worker"])

    def kill_workers(self):
        self.processes.kill("worker-1")
        self.processes.kill("worker-2")

    def start_api(self, number):
        address = f"127.0.0.1:{self.apis[number]}"
        self.processes.start(f"api-{number}", [BINARY, "api"], COTIZA__API__LISTEN=address)

    def start_prometheus(self):
        apis = ", ".join(f'"127.0.0.1:{port}"' for port in self.apis)
        (self.folder / "rules.yml").write_text(files.faster((files.PROMETHEUS / "rules.yml").read_text()))
        (self.folder / "prometheus.yml").write_text(
            f"""
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [rules.yml]
scrape_configs:
  - job_name: cotiza
    static_configs: [{{ targets: [{apis}] }}]
  - job_name: cotiza-processes
    static_configs: [{{ targets: ["127.0.0.1:{self.worker}"] }}]
"""
        )
        self.processes.run(["promtool", "check", "config", "prometheus.yml"])
        self.processes.start("prometheus", [
            "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={self.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}", "--log.level=warn",
        ])  # fmt: skip

    def start(self):
        self.start_redis()
        self.start_exchange()
        self.start_scheduler()
        self.start_workers()
        self.start_api(0)
        self.start_api(1)
        for number in (0, 1):
            wait_for(f"api {number} to have a price", lambda n=number: self.age(n) is not None, 20)
        self.start_prometheus()
        wait_for("Prometheus", self.prometheus.is_ready, 20)
        ok("redis, exchange, scheduler, two workers, two apis and Prometheus are up")

    def api(self, number, path):
        return f"http://127.0.0.1:{self.apis[number]}{path}"

    def age(self, number):
        try:
            return json.loads(get(self.api(number, "/api/latest/"), "application/json")).get("age")
        except OSError:
            return None

    # Checks

    def check_files(self):
        folder = files.PROMETHEUS
        self.processes.run(["promtool", "check", "config", folder / "prometheus.yml"])
        self.processes.run(["promtool", "check", "rules", folder / "rules.yml"])
        ok("promtool check config and check rules")
        self.processes.run(["promtool", "test", "rules", folder / "rules.test.yml"])
        if untested := files.untested_alerts():
            raise Failed(f"rules.test.yml does not test that these fire and are silent: {untested}")
        ok("promtool test rules: each alert fires and is silent")
        if defects := files.dashboard_defects(files.load_dashboard()):
            raise Failed("the dashboard:\n" + "\n".join(defects))
        ok("the dashboard is well-formed")

    def check_exposition(self, when):
        urls = {f"api {number}": self.api(number, "/metrics") for number in (0, 1)}
        if "worker-1" in self.processes.running:
            urls["worker"] = f"http://127.0.0.1:{self.worker}/metrics"
        for name, url in urls.items():
            (self.folder / "metrics.txt").write_text(get(url))
            self.processes.run(["sh", "-c", "promtool check metrics < metrics.txt"])
        ok(f"promtool check metrics, {when}: {', '.join(urls)}")

    def check_calm(self):
        """Checks that everything is scraped and no alert fires for ten seconds."""
        wait_for("all targets to be scraped", lambda: self.prometheus.value("sum(up)") == 3, 15)
        wait_for("a rate of samples", lambda: self.prometheus.value("max(rate(cotiza_source_samples_total[10s]))"), 20)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            # Makes requests that are measured.
            get(self.api(0, "/api/ticker-list/"))
            get(self.api(1, "/api/latest/"))
            self.expect_only(set(), "without a fault")
            time.sleep(0.5)
        ok("no alert fires without a fault")

    def check_runbooks(self):
        anchors = files.anchors()
        for rule in self.prometheus.rules():
            if rule["type"] != "alerting":
                continue
            name, annotations = rule["name"], rule["annotations"]
            if rule["labels"].get("severity") not in ("critical", "warning"):
                raise Failed(f"{name} has no severity")
            if not annotations.get("summary") or not annotations.get("description"):
                raise Failed(f"{name} has no summary or no description")
            file, _, anchor = annotations.get("runbook", "").partition("#")
            if file != files.RUNBOOK or anchor not in anchors:
                raise Failed(f"{name}: the runbook has no section for {annotations.get('runbook')}")
        ok("each alert has a severity, texts, and a section in the runbook")

    def check_expressions(self, since):
        """Checks that all expressions have data. It must run after the faults, which cause failures, dead jobs and
        missed slots."""
        empty, count = [], 0
        for title, expression in files.dashboard_expressions(files.load_dashboard(), RATE_INTERVAL):
            count += 1
            if not self.prometheus.has_data(expression, since) and expression not in NO_DATA:
                empty.append(f"panel {title}: {expression}")
        ok(f"{count - len(empty)} of {count} expressions of the dashboard have data")
        rules, reads = self.prometheus.rules(), set()
        for rule in rules:
            if rule.get("lastError"):
                raise Failed(f"{rule['name']}: {rule['lastError']}")
            reads.update((rule["name"], series) for series in files.selectors(rule["query"]))
            if rule["type"] == "recording" and not self.prometheus.has_data(rule["name"], since):
                empty.append(f"recording rule {rule['name']}: {rule['query']}")
        for name, series in sorted(reads):
            if not self.prometheus.has_data(series, since) and series not in NO_DATA:
                empty.append(f"rule {name}: {series}")
        if empty:
            raise Failed("no data:\n" + "\n".join(sorted(set(empty))))
        ok(f"{len(rules)} rules read {len(reads)} series, and all of them have data")

    # Faults

    def expect_only(self, allowed, during):
        if unexpected := self.prometheus.firing() - allowed - LASTING:
            raise Failed(f"{during}: {sorted(unexpected)} fires")
        if ended := self.processes.ended():
            raise Failed(f"{during}: {ended} ended unexpectedly")

    def fault(self, name, cause, repair, expected, allowed=(), later=(), seconds=40, gone_within=90):
        """Causes a fault, waits until the expected alerts fire, repairs it, and waits until they are gone.
        Meanwhile only the allowed other alerts may fire. Those of `later` may keep firing; the next fault
        waits for their end."""
        expected, allowed = set(expected), set(expected) | set(allowed)
        began = time.monotonic()

        def all_fire():
            self.expect_only(allowed, name)
            return self.prometheus.firing() >= expected

        def all_gone():
            self.expect_only(allowed, f"after: {name}")
            return not self.prometheus.firing() & (allowed - LASTING - set(later))

        cause()
        wait_for(f"{', '.join(sorted(expected))} to fire: {name}", all_fire, seconds)
        ok(f"{name}: {', '.join(sorted(expected))} after {time.monotonic() - began:.0f} s")
        repaired = time.monotonic()
        repair()
        wait_for(f"no alert after the repair: {name}", all_gone, gone_within)
        ok(f"{name}: gone {time.monotonic() - repaired:.0f} s after the repair")

    def faults(self):
        # The job of a slot without a worker or a response is given up.
        lost = ["CotizaNoPrice", "CotizaJobsDying"]
        self.fault("no worker", self.kill_workers, self.start_workers,
                   ["CotizaNoWorker", "CotizaNoPrice"], lost)  # fmt: skip
        self.fault("no scheduler", lambda: self.processes.end("scheduler"), self.start_scheduler,
                   ["CotizaNoScheduler", "CotizaNoPrice"], lost)  # fmt: skip
        self.fault("the exchange is down", lambda: self.processes.end("exchange"), self.start_exchange,
                   ["CotizaSourceFailing", "CotizaNoPrice", "CotizaJobsDying"],
                   later=["CotizaJobsDying"])  # fmt: skip
        cheap = []

        def reject():
            self.processes.end("exchange")
            cheap.append(CheapExchange(self.exchange))

        def accept():
            cheap.pop().end()
            self.start_exchange()

        self.fault("the price is rejected", reject, accept,
                   ["CotizaPriceRejected"], [*lost, "CotizaSourceFailing"])  # fmt: skip
        self.fault("Redis is stopped", self.stop_redis, self.start_redis,
                   ["CotizaRedisAway", "CotizaNoPrice"], [*lost, "CotizaSourceFailing"])  # fmt: skip
        self.fault("a queue is paused", self.pause, self.resume,
                   ["CotizaQueuePaused", "CotizaNoPrice"], lost, seconds=60)  # fmt: skip
        self.fault("one api is stopped", lambda: self.processes.end("api-1"), lambda: self.start_api(1),
                   ["CotizaApiAway"])  # fmt: skip
        wait_for("CotizaLowCoverage to fire", lambda: self.prometheus.firing() == LASTING, 40)
        ok("CotizaLowCoverage fires, since slots of the last hour were missed during the faults")

    def stop_redis(self):
        self.processes.end("redis")
        wait_for("the apis to report that Redis is unavailable", self.redis_is_unavailable, 15)
        self.check_exposition("without Redis")

    def redis_is_unavailable(self):
        return "\ncotiza_redis_up 0" in get(self.api(0, "/metrics")) and "\ncotiza_redis_up 0" in get(
            self.api(1, "/metrics")
        )

    def pause(self):
        self.processes.run([BINARY, "queue", "pause", "fetch_btc_ars", "--note", "test"])

    def resume(self):
        self.processes.run([BINARY, "queue", "resume", "fetch_btc_ars"])

    def run(self):
        self.check_files()
        self.start()
        since = time.time()
        self.check_exposition("without a fault")
        self.check_calm()
        self.faults()
        self.check_expressions(since)
        self.check_runbooks()


def interrupted(number, _):
    # `timeout` sends the signal twice; the second one must not interrupt the cleanup.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main():
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    # Everything runs on this machine, so no proxy is used.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
    folder = Path(tempfile.mkdtemp(prefix="cotiza-observe-"))
    test = Test(folder)
    try:
        test.run()
        ok("all checks passed")
    except (Failed, OSError, AssertionError) as error:
        test.processes.logs()
        try:
            alerts = test.prometheus.request("alerts")["alerts"]
            print("--- alerts", *(f"{a['state']} {a['labels']}" for a in alerts), sep="\n")
        except (Failed, OSError):
            pass
        print(f"{time.monotonic() - START:4.0f}s  FAILED: {error}")
        raise SystemExit(1) from None
    finally:
        test.processes.end_all()
        shutil.rmtree(folder, ignore_errors=True)


main()
