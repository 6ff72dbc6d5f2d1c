"""Shared by the checks: requests to the API, and the processes of `cotiza up`."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ["COTIZA_URL"]


def get(path):
    with urllib.request.urlopen(URL + path, timeout=10) as answer:
        return json.load(answer)


def is_ready():
    os.kill(int(os.environ["COTIZA_PID"]), 0)  # raises an error if it has ended
    try:
        return get("/health/ready")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def readme(language):
    """Returns the example of the README in a language, with the address of this API."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = text.split(f"```{language}\n")[1].split("```")[0]
    return example.replace("http://localhost:8000", URL)


def process(role):
    """Returns the process id of a role (`api`, `scheduler`), which is a child of `cotiza up`."""
    return child(f" {role} ")


def child(pattern):
    """Returns the process id of the child of `cotiza up` whose command line matches the pattern."""
    command = ["pgrep", "-P", os.environ["COTIZA_PID"], "-f", pattern]
    return int(subprocess.check_output(command, text=True))


def cotiza(*arguments):
    """Runs a command of cotiza on the Redis of `cotiza up`."""
    subprocess.run([os.environ["COTIZA_BINARY"], *arguments], check=True, stdout=subprocess.DEVNULL)


def chromium():
    """Returns the path of Chromium. The check is skipped if it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for path in map(shutil.which, names) if path), None)
    if path is None:
        print("   skipped: Chromium is missing (Debian: chromium)")
        raise SystemExit(77)
    return path


def wait_for(what, condition, seconds=30):
    """Waits until the condition is true and returns its value. Exits if it is not true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise SystemExit(f"waited {seconds} s for {what}")
