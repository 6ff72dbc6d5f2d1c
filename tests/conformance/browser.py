"""A page of another origin reads the API in headless Chromium: a price, headers of the response, and the
stream, which continues without loss after a restart of the API."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from api import URL, chromium, get, process, readme, wait_for

PAGE = (Path(__file__).parent / "browser.html").read_bytes()
seen = {"opened": 0, "ids": [], "timestamps": [], "error": None, "readme": None}


class Site(BaseHTTPRequestHandler):
    """Serves the page, and receives its observations."""

    def do_GET(self):
        self.answer(readme("html").encode() if self.path == "/readme" else PAGE)

    def do_POST(self):
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # Reports may overtake each other.
        if len(report["ids"]) >= len(seen["ids"]) and report["opened"] >= seen["opened"]:
            seen.update(report)
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def events(least):
    assert seen["error"] is None, seen["error"]
    return len(seen["ids"]) >= least


def watch():
    wait_for("3 events", lambda: events(3))
    assert seen["price"] > 1_000_000, seen
    assert seen["etag"], f"the page cannot read ETag: {seen}"
    assert seen["requestId"], f"the page cannot read X-Request-Id: {seen}"
    wait_for("the page of the README to show a price", lambda: " ARS, " in (seen["readme"] or ""))

    before = len(seen["ids"])
    os.kill(process("api"), signal.SIGTERM)
    wait_for("the page to connect again", lambda: seen["opened"] >= 2)
    wait_for("events after that", lambda: events(before + 5))
    ids, timestamps = list(seen["ids"]), list(seen["timestamps"])
    assert ids == sorted(set(ids)), f"the ids do not increase: {ids}"
    recorded = get(f"/api/ticker-list/?page_size=1000&since={timestamps[0]}&until={timestamps[-1]}")
    recorded = [ticker["timestamp"] for ticker in recorded["results"]]
    assert timestamps == recorded, f"the page received {timestamps}, but {recorded} were recorded"
    print(f"   {len(ids)} events over {seen['opened']} connections, no event is missing")


browser_path = chromium()
site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=site.serve_forever, daemon=True).start()
page = f"http://127.0.0.1:{site.server_port}/?api={URL}"
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    # The sandbox is disabled, since it does not work for root or in containers; only this page is opened.
    command = [browser_path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               "--no-first-run", f"--user-data-dir={profile}", "--remote-debugging-port=0", page]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        watch()
    finally:
        browser.terminate()
        browser.wait(10)
