"""What several checks need: the address of the API, and the processes of `cotiza up`."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

URL = os.environ["COTIZA_URL"]


def get(path):
    with urllib.request.urlopen(URL + path, timeout=10) as answer:
        return json.load(answer)


def readme(language):
    """The example of the README in a language, with the address of this API."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    example = text.split(f"```{language}\n")[1].split("```")[0]
    return example.replace("http://localhost:8000", URL)


def process(role):
    """The process id of a role (`api`, `scheduler`), which is a child of `cotiza up`."""
    command = ["pgrep", "-P", os.environ["COTIZA_PID"], "-f", f" {role} "]
    return int(subprocess.check_output(command, text=True))


def wait_for(what, condition, seconds=30):
    """The first value of the condition that is true; an error if there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise SystemExit(f"waited {seconds} s for {what}")
