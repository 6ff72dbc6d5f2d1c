"""What several checks need: the address of the API, and the processes of `cotiza up`."""

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
    os.kill(int(os.environ["COTIZA_PID"]), 0)  # an error if it has ended already
    try:
        return get("/health/ready")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def readme(language):
    """The example of the README in a language, with the address of this API."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = text.split(f"```{language}\n")[1].split("```")[0]
    return example.replace("http://localhost:8000", URL)


def process(role):
    """The process id of a role (`api`, `scheduler`), which is a child of `cotiza up`."""
    return child(f" {role} ")


def child(pattern):
    """The process id of the child of `cotiza up` whose command line matches."""
    command = ["pgrep", "-P", os.environ["COTIZA_PID"], "-f", pattern]
    return int(subprocess.check_output(command, text=True))


def cotiza(*arguments):
    """Runs a command of cotiza beside the stack, on its Redis."""
    subprocess.run([os.environ["COTIZA_BINARY"], *arguments], check=True, stdout=subprocess.DEVNULL)


def chromium():
    """The path of Chromium; without one the check is skipped."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for path in map(shutil.which, names) if path), None)
    if path is None:
        print("   skipped: Chromium is missing (Debian: chromium)")
        raise SystemExit(77)
    return path


def wait_for(what, condition, seconds=30):
    """The first value of the condition that is true; an error if there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise SystemExit(f"waited {seconds} s for {what}")
