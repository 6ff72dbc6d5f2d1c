"""Opens the page of a running api in Chromium, without a window, and checks what its users need: it is
complete in itself and small, goes on without being loaded again, speaks two languages, has two themes, fits
a phone, and can be used by keyboard and by screen reader (axe-core, where it is installed).

Usage: python3 tests/page/browser.py ORIGIN   (http://127.0.0.1:8000)

It needs an api with a price and a recording that goes on. axe-core comes with
`pip install --no-deps axe-playwright-python`, which brings nothing else.
The exit code is 1 if something failed, else 0; without Chromium nothing is checked.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from chromium import Chromium

MOST_BYTES = 100_000
FIRST_PAINT_MS = 100
NEW_PRICE_SECONDS = 60
CONTROLS = "document.querySelectorAll('a[href], button, input, select, summary')"
failures = []


def check(what, is_good, detail=""):
    print(f"   {'ok' if is_good else 'FAILED'}: {what} {detail if detail or is_good else ''}".rstrip())
    if not is_good:
        failures.append(what)


def axe():
    """The source of axe-core from the Python package that carries it, or None."""
    for package in ("axe_playwright_python", "axe_core_python"):
        if found := importlib.util.find_spec(package):
            script = Path(found.origin).parent / "axe.min.js"
            if script.exists():
                return script.read_text()
    return None


def requests(page):
    page.run("0")  # what has arrived is read before the answer
    return [event["params"] for event in page.events if event["method"] == "Network.requestWillBeSent"]


def loading(page, origin):
    page.open(f"{origin}/")
    size = page.run("fetch('').then((answer) => answer.arrayBuffer()).then((body) => body.byteLength)")
    check(f"the document is smaller than {MOST_BYTES} bytes", size < MOST_BYTES, f"({size})")
    # Loaded again, as the first load also starts a process of the browser; the fastest of several, as
    # other programs may have the processor meanwhile.
    paints = []
    for _ in range(6):
        page.run("location.reload()")
        time.sleep(0.8)
        page.wait("the first paint", "performance.getEntriesByType('paint').length === 2")
        paints.append(page.run("performance.getEntriesByType('paint')"
                               ".find(({ name }) => name === 'first-contentful-paint')?.startTime ?? 1e9"))
    check(f"the first paint is within {FIRST_PAINT_MS} ms", min(paints) < FIRST_PAINT_MS,
          "(" + ", ".join(f"{paint:.0f}" for paint in paints) + " ms)")


def new_price(page):
    page.run("window.loadedOnce = true")
    before = page.run("price.latest.timestamp")
    page.wait("a new price", f"price.latest.timestamp > {before}", NEW_PRICE_SECONDS)
    check("a new price appears without loading the page again", page.run("window.loadedOnce === true"))


def languages_and_themes(page):
    for language, heading in (("es", "Gráfico"), ("en", "Chart")):
        page.choose("languages", language)
        is_shown = page.run("document.documentElement.lang + document.getElementById('chart-title').textContent")
        check(f"the page is in the language {language}", is_shown == language + heading, is_shown)
    backgrounds = set()
    for theme in ("light", "dark"):
        page.choose("themes", theme)
        backgrounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
    check("light and dark differ", len(backgrounds) == 2, str(backgrounds))


def settings_stay(page, origin):
    page.choose("languages", "es")
    page.choose("ranges", "week")
    page.run("location.reload()")
    time.sleep(0.5)
    page.wait("the page again", "document.readyState === 'complete' && document.documentElement.lang === 'es'"
              " && document.querySelector('#ranges [aria-pressed=true]')?.dataset.value === 'week'")
    check("language and range of the chart stay when the page is loaded again", True)


def keyboard(page):
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    usable = f"[...{CONTROLS}].filter((node) => !node.disabled && node.checkVisibility())"
    page.run(f"{usable}.forEach((node, at) => {{ node.dataset.control = at }})")
    wanted = set(page.run(f"{usable}.map((node) => node.dataset.control)"))
    reached, outlines = set(), True
    for _ in range(2 * len(wanted) + 40):
        page.press_tab()
        at, outline = page.run("[document.activeElement.dataset.control ?? null,"
                               " getComputedStyle(document.activeElement).outlineStyle]")
        if at is not None:
            reached.add(at)
            outlines = outlines and outline != "none"
        if reached >= wanted:
            break
    # A table that is refreshed meanwhile may have replaced a control.
    missing = [page.run(f"document.querySelector('[data-control=\"{at}\"]')?.outerHTML.slice(0, 120) ?? null")
               for at in wanted - reached]
    missing = [node for node in missing if node]
    check(f"each of {len(wanted)} controls is reached by the Tab key", not missing, str(missing or ""))
    check("the control that has the focus is outlined", outlines)


def structure(page):
    nameless = page.run(f"[...{CONTROLS}].filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim()"
                        " || node.labels?.length)).map((node) => node.outerHTML.slice(0, 80))")
    check("each control has a name", not nameless, str(nameless or ""))
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4')].map((node) => Number(node.localName[1]))")
    steps = all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    check("headings go down one level at a time, from one h1", levels[0] == 1 and levels.count(1) == 1 and steps)


def phone(page):
    for width in (360, 768):
        page.size(width, 740, phone=width < 600)
        time.sleep(0.5)
        over = page.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        check(f"nothing is wider than a screen of {width} pixels", over <= 0, f"(by {over})" if over > 0 else "")


def accessibility(page):
    source = axe()
    if source is None:
        print("   skipped: axe-core is missing (pip install --no-deps axe-playwright-python)")
        return
    # The protocol is not bound by the content security policy of the page.
    page.run(source + "; 0")
    for theme in ("light", "dark"):
        page.choose("themes", theme)
        time.sleep(1)
        found = page.run("axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(({ violations }) =>"
                         " violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160))}`))")
        check(f"axe finds nothing in the theme {theme}", not found, "\n      ".join(["", *found]) if found else "")


def silence(page, origin):
    hosts = {urlsplit(sent["request"]["url"]).netloc for sent in requests(page)
             if sent["request"]["url"].startswith("http")}
    check("no request goes to another host", hosts == {urlsplit(origin).netloc}, str(hosts))
    errors = [json.dumps(event["params"])[:300] for event in page.events
              if event["method"] == "Runtime.exceptionThrown"
              or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
              or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "assert"))]
    check("the console has no errors", not errors, "\n      ".join(["", *errors]) if errors else "")


if len(sys.argv) != 2:
    sys.exit(__doc__)
address = sys.argv[1].rstrip("/")
with Chromium() as browser:
    browser.size(1280, 900)
    loading(browser, address)
    new_price(browser)
    languages_and_themes(browser)
    settings_stay(browser, address)
    structure(browser)
    keyboard(browser)
    accessibility(browser)
    phone(browser)
    accessibility(browser)
    silence(browser, address)
if failures:
    sys.exit(f"failed: {'; '.join(failures)}")
