"""Waits until the API is ready and has some prices, and makes a gap: else lists of gaps are empty."""

import os
import signal
import time
import urllib.error

from api import get, process, wait_for


def is_ready():
    os.kill(int(os.environ["COTIZA_PID"]), 0)  # an error if it has ended already
    try:
        return get("/health/ready")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


wait_for("/health/ready", is_ready, 60)
wait_for("5 prices", lambda: get("/api/ticker-list/")["count"] >= 5)

# While the scheduler stands still, slots of one second pass without a job.
scheduler = process("scheduler")
os.kill(scheduler, signal.SIGSTOP)
try:
    time.sleep(3)
finally:
    os.kill(scheduler, signal.SIGCONT)
wait_for("a gap", lambda: get("/api/gaps/")["count"] >= 1)
wait_for("10 prices", lambda: get("/api/ticker-list/")["count"] >= 10)
