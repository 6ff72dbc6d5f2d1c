"""The processes of a test, each with a log of its own, and clients for HTTP and Prometheus."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Failed(Exception):
    """A failed check."""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(what, condition, seconds):
    """Waits until the condition is true and returns its value. Fails if it is not true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    raise Failed(f"waited {seconds} s for {what}")


def get(url, accept="text/plain"):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


class Processes:
    def __init__(self, folder, environment):
        self.folder = folder
        self.running = {}
        # Without the settings of the developer.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("COTIZA__") and name != "REDIS_URL"
        } | environment

    def start(self, name, command, **environment):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, name):
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end_all(self):
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            self.end(name)

    def ended(self):
        """Returns the names of processes that have ended unexpectedly."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def run(self, command):
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def logs(self, lines=12):
        for log in sorted(self.folder.glob("*.log")):
            last = log.read_text(errors="replace").splitlines()[-lines:]
            print(f"--- {log.name}", *last, sep="\n")


class CheapExchange:
    """Responds like the exchange, but with a price of one peso, which is rejected."""

    def __init__(self, port):
        body = json.dumps(
            {"object": {"btcars": {"selling_price": "1.0", "purchase_price": "1.0"}}, "errors": []}
        ).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def is_ready(self):
        try:
            return get(self.url + "/-/ready")
        except OSError:
            return None

    def request(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        try:
            return json.loads(get(f"{self.url}/api/v1/{path}?{query}"))["data"]
        except urllib.error.HTTPError as error:
            raise Failed(f"{path} {parameters}: {error.read().decode()}") from error

    def value(self, expression):
        result = self.request("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def has_data(self, expression, since):
        """Returns whether the expression had a number at any time since then."""
        series = self.request("query_range", query=expression, start=since, end=time.time(), step=1)
        return any(value != "NaN" for one in series["result"] for _, value in one["values"])

    def rules(self):
        return [rule for group in self.request("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        alerts = self.request("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
