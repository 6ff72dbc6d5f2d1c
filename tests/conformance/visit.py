"""A visit of the page in Chromium, for its checks. Every wait is bounded and names what it waits for."""

import time
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from api import URL, chromium

# The page uses the time zone of the browser, which differs from that of the machine here.
ZONE = "America/Sao_Paulo"


class Visit:
    """A page in a browser context of its own, without the storage of other visits."""

    def __init__(self, browser, width=1200, height=900, **options):
        options = {"locale": "en-US", "color_scheme": "light", "timezone_id": ZONE,
                   "reduced_motion": "reduce", **options}
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))
        self.page.goto(URL)
        self.wait("the chart", "document.querySelector('#drawing svg')")
        self.wait("the processes", "document.querySelector('#processes table')")
        self.wait("the slots", "document.querySelector('#slots-day svg')")
        self.evaluate("window.isSameDocument = true")

    def evaluate(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    def wait(self, what, expression, argument=None, seconds=30):
        """Waits until an expression is true in the page. The CSP of the page forbids wait_for_function."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.evaluate(expression, argument):
                return
            self.page.wait_for_timeout(100)
        shown = self.page.inner_text("#notices")
        raise SystemExit(f"waited {seconds} s for {what}; errors: {self.errors}; notices: {shown!r}")

    def wait_for_new_price(self):
        """Waits for two new prices, since the first one may have been in transit."""
        for _ in range(2):
            shown = self.page.inner_text("#price")
            self.wait("a new price", "shown => document.getElementById('price').innerText !== shown", shown)

    def text(self, selector):
        return self.page.inner_text(selector)

    def press(self, group, value):
        self.page.click(f"#{group} [data-value={value}]")

    def check_clean(self):
        """Checks that there were no errors and no requests to other hosts."""
        elsewhere = [url for url in self.requests if not url.startswith((f"{URL}/", "data:"))]
        assert not elsewhere, f"requests to other hosts: {elsewhere}"
        assert not self.errors, f"errors in the console: {self.errors}"
        assert self.evaluate("window.isSameDocument"), "the page was loaded again"


@contextmanager
def open_browser():
    path = chromium()
    with sync_playwright() as playwright:
        # The sandbox is disabled, since it does not work for root or in containers; only this page is opened.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser, **options):
    visitor = Visit(browser, **options)
    try:
        yield visitor
    finally:
        visitor.context.close()
