"""Waits until the API is ready and has some prices, and causes a gap for the lists of gaps."""

import os
import signal
import time

from api import get, is_ready, process, wait_for

wait_for("/health/ready", is_ready, 60)
wait_for("5 prices", lambda: get("/api/ticker-list/")["count"] >= 5)

# While the scheduler is stopped, slots of one second pass without a job.
scheduler = process("scheduler")
os.kill(scheduler, signal.SIGSTOP)
try:
    time.sleep(3)
finally:
    os.kill(scheduler, signal.SIGCONT)
wait_for("a gap", lambda: get("/api/gaps/")["count"] >= 1)
wait_for("10 prices", lambda: get("/api/ticker-list/")["count"] >= 10)
