"""Tests the page at / in Chromium: live data, languages, themes, chart, keyboard and accessibility."""

import urllib.request

from axe_playwright_python.sync_playwright import Axe

from api import URL, get
from visit import ZONE, open_browser, visit

DAY = 24 * 3600
SPANS = {"hour": 3600, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
SPAN = "(({since, until}) => until - since)(document.querySelector('#drawing svg').dataset)"
SINCE = "Number(document.querySelector('#drawing svg').dataset.since)"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def it_is_small_and_live(browser):
    with urllib.request.urlopen(f"{URL}/", timeout=10) as answer:
        size = len(answer.read())
    assert size < 100_000, f"the document has {size} bytes"
    with visit(browser) as visitor:
        paint = visitor.evaluate("performance.getEntriesByName('first-paint')[0]?.startTime ?? 0")
        print(f"   {size} bytes, first paint after {paint:.0f} ms")
        assert "Simulated prices" in visitor.text("#simulated"), "the simulation is not shown"
        visitor.wait_for_new_price()
        visitor.wait("an age", "/^\\d+ s ago/.test(document.getElementById('age').innerText)")
        assert visitor.text("#zone") == "Times in America/Sao Paulo", visitor.text("#zone")
        visitor.check_clean()


def it_has_two_languages(browser):
    for locale, language, chart in (("es-AR", "es", "Gráfico"), ("en-US", "en", "Chart"), ("de-DE", "en", "Chart")):
        with visit(browser, locale=locale) as visitor:
            assert visitor.evaluate("document.documentElement.lang") == language, locale
            assert visitor.text("#chart-title") == chart, locale
            other = {"es": "en", "en": "es"}[language]
            visitor.press("languages", other)
            visitor.wait("the other language", "lang => document.documentElement.lang === lang", other)
            assert visitor.text("#chart-title") != chart, f"{locale}: the switch does not change the language"
            visitor.page.reload()
            visitor.wait("the other language after a reload", "lang => document.documentElement.lang === lang", other)
            missing = visitor.evaluate(
                "Object.keys(TEXTS.en).filter(name => !(name in TEXTS.es))"
                ".concat(Object.keys(TEXTS.es).filter(name => !(name in TEXTS.en)))")
            assert not missing, f"texts in one language only: {missing}"


def it_is_light_or_dark(browser):
    with visit(browser, color_scheme="light") as light, visit(browser, color_scheme="dark") as dark:
        colours = [visitor.evaluate(BACKGROUND) for visitor in (light, dark)]
        assert colours[0] != colours[1], f"the background does not depend on the colour scheme: {colours}"
        light.press("themes", "dark")
        light.wait("dark", f"colour => {BACKGROUND} === colour", colours[1])
        light.wait("a dark chart", "() => performance.getEntriesByType('resource')"
                   ".some(({name}) => name.includes('chart.svg') && name.includes('theme=dark'))")
        light.press("themes", "auto")
        light.wait("light again", f"colour => {BACKGROUND} === colour", colours[0])


def the_chart_has_ranges(browser):
    with visit(browser) as visitor:
        charts = [url for url in visitor.requests if "chart.svg" in url]
        assert f"time_zone={ZONE.replace('/', '%2F')}" in charts[0], charts
        for name, span in SPANS.items():
            visitor.press("ranges", name)
            visitor.wait(f"the range {name}", f"span => Math.abs({SPAN} - span) <= 2", span)
        visitor.press("ranges", "all")
        first = get("/api/status/")["history"]["first"]
        visitor.wait("the whole history", f"first => {SINCE} === first", first)
        line = visitor.evaluate("document.querySelector('#drawing svg').innerHTML")
        visitor.press("kinds", "candles")
        visitor.wait("candles", "line => document.querySelector('#drawing svg').innerHTML !== line", line)
        assert "kind=candles" in [url for url in visitor.requests if "chart.svg" in url][-1]
        visitor.wait("a summary", "/low .*high/.test(document.getElementById('chart-summary').innerText)")
        visitor.check_clean()


def the_chart_is_zoomed_with_the_mouse_and_kept(browser):
    with visit(browser) as visitor:
        visitor.press("ranges", "hour")
        visitor.wait("an hour", f"Math.abs({SPAN} - 3600) <= 2")
        box = visitor.page.locator("#chart").bounding_box()
        middle = box["y"] + box["height"] / 2
        visitor.page.mouse.move(box["x"] + box["width"] * 0.4, middle)
        visitor.wait("the time under the pointer", "document.getElementById('tip').innerText.includes(':')")
        visitor.page.mouse.down()
        visitor.page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=4)
        assert visitor.page.locator("#selection").is_visible(), "the selection is not shown"
        visitor.page.mouse.up()
        visitor.wait("the selected range", f"{SPAN} > 500 && {SPAN} < 1000")
        visitor.press("kinds", "candles")
        state = "JSON.stringify((({since, until}) => [since, until])(document.querySelector('#drawing svg').dataset))"
        before, address = visitor.evaluate(state), visitor.page.url
        assert "since=" in address and "kind=candles" in address, address
        visitor.page.reload()
        visitor.wait("the same range after a reload", f"before => document.querySelector('#drawing svg') && {state} === before",
                     before)
        assert visitor.page.url == address
        pressed = visitor.page.locator("#kinds [aria-pressed=true]").get_attribute("data-value")
        assert pressed == "candles", f"after a reload it shows {pressed}"


def the_chart_is_moved_with_keys(browser):
    with visit(browser) as visitor:
        visitor.page.focus("#ranges [data-value=week]")
        visitor.page.keyboard.press("Enter")
        visitor.wait("a week", f"span => Math.abs({SPAN} - span) <= 2", 7 * DAY)
        visitor.page.focus("#moves [data-value=in]")
        visitor.page.keyboard.press("Space")
        visitor.wait("half a week", f"span => Math.abs({SPAN} - span) <= 2", 3.5 * DAY)
        before = visitor.evaluate(SINCE)
        visitor.page.keyboard.press("Shift+Tab")
        visitor.page.keyboard.press("Shift+Tab")
        visitor.page.keyboard.press("Enter")
        visitor.wait("an earlier range", f"before => {SINCE} < before", before)
        visitor.check_clean()


def every_control_is_reached_by_tab_and_has_a_name(browser):
    with visit(browser) as visitor:
        visitor.evaluate("""() => {
            window.reached = new Set();
            addEventListener("focusin", ({target}) => reached.add(target));
        }""")
        controls = visitor.evaluate("document.querySelectorAll('a[href], button, select, summary').length")
        for _ in range(controls + 30):
            visitor.page.keyboard.press("Tab")
            if visitor.evaluate("document.activeElement === document.body"):
                break
        missed, nameless = visitor.evaluate("""() => {
            const described = (node) => node.outerHTML.slice(0, 120);
            const usable = [...document.querySelectorAll('a[href], button, select, summary, [tabindex="0"]')]
                .filter((node) => !node.disabled && node.checkVisibility());
            const name = (node) => node.ariaLabel || node.labels?.[0]?.innerText || node.innerText;
            return [usable.filter((node) => !reached.has(node)), [...reached].filter((node) => !name(node)?.trim())]
                .map((nodes) => nodes.map(described));
        }""")
        assert not missed, f"Tab does not reach {missed}"
        assert not nameless, f"controls without a name: {nameless}"


def it_is_accessible_everywhere(browser):
    phone = {"width": 390, "height": 844, "is_mobile": True, "has_touch": True}
    layouts = {"light": {}, "dark": {"color_scheme": "dark", "locale": "es-AR"}, "phone": phone}
    for name, options in layouts.items():
        with visit(browser, **options) as visitor:
            found = Axe().run(visitor.page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
            found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]
            assert not found, f"axe, {name}: {found}"


def it_fits_a_small_phone(browser):
    for locale in ("es-AR", "en-US"):
        with visit(browser, width=360, height=640, locale=locale, is_mobile=True) as visitor:
            wide = visitor.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, f"{locale}: the page is {wide} pixels wide on a screen of 360"


CHECKS = [
    it_is_small_and_live, it_has_two_languages, it_is_light_or_dark, the_chart_has_ranges,
    the_chart_is_zoomed_with_the_mouse_and_kept, the_chart_is_moved_with_keys,
    every_control_is_reached_by_tab_and_has_a_name, it_is_accessible_everywhere, it_fits_a_small_phone,
]
with open_browser() as chromium:
    for check in CHECKS:
        check(chromium)
        print(f"   {check.__name__.replace('_', ' ')}")
