"""Drives Chromium without a window through its DevTools protocol, over two pipes: the standard library
of Python is enough."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
ANSWER_TIMEOUT = 30


class Chromium:
    """A browser with one page, in a `with` block."""

    def __enter__(self):
        path = next((path for path in map(shutil.which, NAMES) if path), None)
        if path is None:
            print("skipped: Chromium is missing (Debian: chromium)")
            sys.exit(0)
        self.profile = tempfile.mkdtemp()
        theirs_in, self.to = os.pipe()
        self.of, theirs_out = os.pipe()
        # Chromium reads from 3 and writes to 4; numbers above 9 are not in the way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs_in, theirs_out)]
        # Without its sandbox, as it may have to run as root or in a container; it opens one page only.
        command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--no-first-run", "--hide-scrollbars", f"--user-data-dir={self.profile}",
                   "--remote-debugging-pipe", "about:blank"]
        actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_DUP2, ends[0], 3), (os.POSIX_SPAWN_DUP2, ends[1], 4)]
        self.pid = os.posix_spawn(path, command, os.environ, file_actions=actions)
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        self.rest, self.number, self.session, self.events = b"", 0, None, []
        page = next(target for target in self.call("Target.getTargets")["targetInfos"]
                    if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            time.sleep(0.05)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, seconds):
        """The next message of the browser, or None if there is none in time."""
        end = time.monotonic() + seconds
        while b"\0" not in self.rest:
            if not select.select([self.of], [], [], max(0, end - time.monotonic()))[0]:
                return None
            part = os.read(self.of, 1 << 20)
            if not part:
                sys.exit("failed: Chromium has ended")
            self.rest += part
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        """Calls a method of the protocol; events that arrive meanwhile are kept in `events`."""
        self.number += 1
        call = {"id": self.number, "method": method, "params": params}
        if self.session:
            call["sessionId"] = self.session
        data = json.dumps(call).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            message = self.message(ANSWER_TIMEOUT)
            if message is None:
                sys.exit(f"failed: {method}: no answer of Chromium within {ANSWER_TIMEOUT} s")
            if message.get("id") == self.number:
                if "error" in message:
                    sys.exit(f"failed: {method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def run(self, script):
        """The value of an expression in the page; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"failed: {script[:80]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, what, script, seconds=20):
        """The first true value of an expression; ends the program if there is none in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.1)
        sys.exit(f"failed: waited {seconds} s for {what}")

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)

    def open(self, url):
        """Opens an address, or loads it again, and waits until a price, a chart and slots are there."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait("the price", "document.getElementById('price')?.textContent.length > 3", 30)
        self.wait("the chart", "!!document.querySelector('#drawing svg')")
        self.wait("the slots", "!!document.querySelector('#slots-month svg')")

    def choose(self, group, value):
        self.run(f"document.querySelector('#{group} [data-value={value}]').click()")

    def press_tab(self):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def screenshot(self, path, full=True):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))
